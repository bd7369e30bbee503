/** Where no server listens: port 9 is for a protocol that nobody has. */
export const unreachable = "postgres://nobody:nothing@127.0.0.1:9/nowhere";
