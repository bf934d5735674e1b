# The server with everything that a machine boots: boot files, kernel, initramfs.
# Build:  docker build -t stampede .
# Run with the host's network, since DHCP and TFTP live on the machines' own network segment:
#   docker run --network host --cap-drop ALL --cap-add NET_BIND_SERVICE --cap-add NET_RAW \
#     --cap-add SETUID --cap-add SETGID -v stampede:/data stampede

FROM debian:12-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates nodejs npm \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/stampede
COPY package.json package-lock.json .npmrc ./
COPY setup setup
COPY protocol protocol
COPY agent agent
COPY initramfs initramfs
COPY web web
RUN apt-get update && npm run initramfs && npm run web:build \
 && node_modules/.bin/node "$(readlink -f "$(command -v npm)")" prune --omit=dev --no-audit --no-fund \
 && rm -rf build/runtime build/cache

FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates ipxe qemu-utils xz-utils bzip2 iproute2 iputils-ping util-linux \
      e2fsprogs xfsprogs mtools ntfs-3g \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/stampede
COPY --from=build /opt/stampede/node_modules node_modules
COPY --from=build /opt/stampede/build build
COPY --from=build /opt/stampede/web/dist web/dist
COPY package.json ./
COPY migrations migrations
COPY protocol protocol
COPY server server
COPY cli cli
RUN ln -s /opt/stampede/cli/stampede /usr/local/bin/stampede
ENV NODE_ENV=production STAMPEDE_DATA=/data PATH=/opt/stampede/node_modules/.bin:$PATH
VOLUME /data
EXPOSE 67/udp 69/udp 4011/udp 8080/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD node -e "fetch('http://' + (process.env.STAMPEDE_HTTP || '127.0.0.1:8080') + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"
CMD ["node", "server/main.ts"]
