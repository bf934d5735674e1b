import { useQuery } from '@tanstack/react-query'
import { machinesQuery } from '../../api/machines.ts'
import { ErrorAlert } from '../../components/ErrorAlert.tsx'
import { PageTitle } from '../../components/PageTitle.tsx'

export function MachinesPage() {
  const { data: machines, error } = useQuery(machinesQuery)
  return (
    <>
      <PageTitle title="Machines" />
      <ErrorAlert error={error} />
      <ul>
        {machines?.map((machine) => (
          <li key={machine.mac}>{machine.name}</li>
        ))}
      </ul>
    </>
  )
}
