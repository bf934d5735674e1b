import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import koffi from 'koffi'

const libc = koffi.load(null)
const socket = libc.func('int socket(int domain, int type, int protocol)')
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
)
const bind = libc.func('int bind(int fd, const void *address, uint32_t length)')
const send = libc.func('long send(int fd, const void *bytes, size_t length, int flags)')
const recv = libc.func('long recv(int fd, _Out_ void *bytes, size_t length, int flags)')
const ifNameToIndex = libc.func('uint32_t if_nametoindex(const char *name)')

// Linux's numbers, the same on x86-64 and arm64.
const AF_INET = 2
const AF_PACKET = 17
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0x800
const SOCK_CLOEXEC = 0x80000
const SOL_SOCKET = 1
const SO_BROADCAST = 6
const SO_BINDTODEVICE = 25

/** The kernel refused; the message is a sentence for the operator. */
export class SocketError extends Error {
  override name = 'SocketError'
  /** The kernel's number, as in `os.constants.errno`. */
  readonly errno: number

  constructor(message: string, errno: number) {
    super(message)
    this.errno = errno
  }
}

/**
 * A UDP socket that hears and speaks on one interface only, which Node cannot make: a socket on the
 * wildcard address cannot tell where a broadcast came from, and one on the interface's address gets no
 * broadcasts. SO_REUSEADDR stays off: with it, a second DHCP server would start without a word.
 */
export function openUdpDescriptor(interfaceName: string, port: number): number {
  const what = `UDP port ${port} on interface "${interfaceName}"`
  const fd = check(what, socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number)
  try {
    const device = Buffer.from(`${interfaceName}\0`)
    check(what, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, device.length) as number)
    const on = Buffer.from(Int32Array.of(1).buffer)
    check(what, setsockopt(fd, SOL_SOCKET, SO_BROADCAST, on, on.length) as number)
    const address = Buffer.alloc(16) // struct sockaddr_in
    address.writeUInt16LE(AF_INET, 0)
    address.writeUInt16BE(port, 2)
    check(what, bind(fd, address, address.length) as number)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Whole Ethernet frames of one type, on one interface. */
export interface PacketSocket extends Disposable {
  send: (frame: Uint8Array) => void
  /** A frame that has arrived, or undefined; does not wait. */
  receive: () => Uint8Array | undefined
}

const LARGEST_FRAME_BYTES = 2048

/** Opens a packet(7) socket. Needs CAP_NET_RAW. */
export function openPacketSocket(interfaceName: string, etherType: number): PacketSocket {
  const what = `a packet socket on interface "${interfaceName}"`
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC
  // Protocol 0 until it is bound: else frames of other interfaces would come in between.
  const fd = check(what, socket(AF_PACKET, type, 0) as number)
  try {
    const index = ifNameToIndex(interfaceName) as number
    if (index === 0) throw new SocketError(sentence(what, constants.errno.ENODEV), 19)
    const address = Buffer.alloc(20) // struct sockaddr_ll
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeUInt16BE(etherType, 2)
    address.writeInt32LE(index, 4)
    check(what, bind(fd, address, address.length) as number)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  return {
    send(frame) {
      check(what, send(fd, frame, frame.length, 0) as number)
    },
    receive() {
      const frame = Buffer.alloc(LARGEST_FRAME_BYTES)
      const bytes = recv(fd, frame, frame.length, 0) as number
      return bytes < 0 ? undefined : frame.subarray(0, bytes)
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}

function check(what: string, result: number): number {
  if (result >= 0) return result
  const errno = koffi.errno()
  throw new SocketError(sentence(what, errno), errno)
}

function sentence(what: string, errno: number): string {
  return `Cannot open ${what}: ${reason(errno)}`
}

function reason(errno: number): string {
  switch (errno) {
    case constants.errno.EADDRINUSE:
      return 'another program uses the port; stop it ("ss -ulpn" names it) or set STAMPEDE_DHCP=off'
    case constants.errno.EACCES:
    case constants.errno.EPERM:
      return 'no permission; run as root or with CAP_NET_RAW and CAP_NET_BIND_SERVICE'
    case constants.errno.ENODEV:
      return 'there is no such interface; set STAMPEDE_INTERFACE to one that "ip link" shows'
    case constants.errno.ENETDOWN:
      return 'the interface is down; bring it up first'
    default:
      return `error ${errno} from the kernel`
  }
}
