/** The version of this package, as in its package.json; a test keeps them equal. */
export const version = '0.8.0';
