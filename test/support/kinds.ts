import { type ChatDatabase, createChatStore } from "../../src/index.ts";
import {
  databases,
  databasesWithoutTransactions,
  inModes,
  isOnCitus,
  isUsual,
  modes,
  nodePostgres,
  openWith,
} from "./databases.ts";
import { isLong } from "./long-run.ts";
import { onNewerTables } from "./newer-package.ts";
import { peculiarTables } from "./peculiarities.ts";
import { underRowLevelSecurity } from "./row-level-security.ts";

/** They differ from the others in the same way on every driver and Postgres, so that `npm test` alone tries them. */
const special = [
  ...underRowLevelSecurity,
  onNewerTables,
  {
    name: "node-postgres",
    open: () => openWith(nodePostgres, { peculiarity: peculiarTables["columns of the application"] }),
    mode: "with prepared statements, beside columns of the application",
    storeOn: (db: ChatDatabase) => createChatStore(db, { prepare: true }),
    transactions: true,
  },
];

/** Every driver and mode of this run on which the same has to come out. */
export const kinds = [
  ...inModes(databases, modes.slice(0, 2)),
  ...inModes(databasesWithoutTransactions, modes.slice(0, 1)),
  ...(isUsual || (isLong && !isOnCitus) ? special : []),
];
