import { withDatabase } from "./command.ts";
import { pluralize } from "./pluralize.ts";
import { type Purged, purgeChats, readCutoff } from "./purge-chats.ts";
import { nameOf } from "./target.ts";
import { type Paint, toAscii, toMinute } from "./terminal.ts";

export const purge = withDatabase(async (db, { schemaName, olderThanDays, dryRun, log, paint, confirm }, target) => {
  // A question may wait for hours. The purge that follows deletes no chat that has become inactive meanwhile.
  const before = await readCutoff(db, schemaName, olderThanDays);
  const run = async (dryRun: boolean) => {
    const purged = await purgeChats(db, schemaName, { before, dryRun }, ({ chats }) =>
      log(`So far: ${pluralize(chats, "chat")}`),
    );
    return { purged, text: describePurge(purged, dryRun, paint) };
  };

  if (confirm && !dryRun) {
    const { purged, text } = await run(true);
    if (purged.chats + purged.turns > 0) {
      log(text);
      const isWanted = await confirm(`Delete them from ${nameOf(target)}?`);
      if (!isWanted) return { text: "Nothing was deleted.", json: {}, exitCode: 4 };
    }
  }
  const { purged, text } = await run(dryRun);
  return { text, json: { schema: schemaName, dryRun, ...purged }, exitCode: purged.refused.length > 0 ? 1 : 0 };
});

const maxLines = 20;

function describePurge({ chats, turns, before, inUse, refused }: Purged, dryRun: boolean, paint: Paint): string {
  const verb = dryRun ? paint("yellow", "Would delete") : paint("green", "Deleted");
  const lines = [`${verb} ${pluralize(chats, "chat")} without activity since ${toMinute(before)} UTC.`];
  if (turns > 0) lines.push(`${verb} the recordings of ${pluralize(turns, "ended turn")} in chats that stay.`);
  if (inUse > 0) {
    const left = `${dryRun ? "Would leave" : "Left"} ${pluralize(inUse, "chat")} in use`;
    lines.push(`${left}: a turn runs there, or another transaction has locked it.`);
  }
  if (refused.length > 0) {
    const failed = paint("red", `Could not delete ${pluralize(refused.length, "chat")}`);
    lines.push(`${failed}, because the database refused:`);
    for (const { chatId, sqlState, constraint } of refused.slice(0, maxLines)) {
      const byConstraint = constraint === undefined ? "" : `, constraint ${toAscii(constraint)}`;
      lines.push(`  ${toAscii(chatId)}: SQLSTATE ${sqlState}${byConstraint}`);
    }
    if (refused.length > maxLines) lines.push(`  and ${refused.length - maxLines} more, which --json lists`);
  }
  return lines.join("\n");
}
