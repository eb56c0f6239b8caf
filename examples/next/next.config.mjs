// This folder is the application's root. Next would look for it by lockfiles, and find that of the repository around it.
export default { turbopack: { root: import.meta.dirname } };
