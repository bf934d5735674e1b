// Before anything is painted, so that a dark page never flashes white. Under the key and attribute
// that Mantine keeps its choice in; a file of its own, since the page allows no inline script.
const chosen = localStorage.getItem('mantine-color-scheme-value') ?? 'auto'
const isDark =
  chosen === 'dark' || (chosen === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches)
document.documentElement.setAttribute('data-mantine-color-scheme', isDark ? 'dark' : 'light')
