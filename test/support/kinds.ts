import { type ChatDatabase, createChatStore } from "../../src/index.ts";
import {
  databases,
  databasesWithoutTransactions,
  inModes,
  isOnCitus,
  modes,
  nodePostgres,
  openWith,
} from "./databases.ts";
import { onNewerTables } from "./newer-package.ts";
import { peculiarTables } from "./peculiarities.ts";
import { underRowLevelSecurity } from "./row-level-security.ts";

const special = [
  ...underRowLevelSecurity,
  onNewerTables,
  {
    name: "node-postgres",
    open: () => openWith(nodePostgres, peculiarTables["columns of the application"]),
    mode: "with prepared statements, beside columns of the application",
    storeOn: (db: ChatDatabase) => createChatStore(db, { prepare: true }),
    transactions: true,
  },
];

/** Every driver and mode of this run on which the same has to come out. */
export const kinds = [
  ...inModes(databases, modes.slice(0, 2)),
  ...inModes(databasesWithoutTransactions, modes.slice(0, 1)),
  ...(isOnCitus ? [] : special),
];
