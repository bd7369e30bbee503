import { join, relative } from "node:path";
import { PgDialect } from "drizzle-orm/pg-core";
import { PgDialect as PgDialect044 } from "drizzle-orm-0.44/pg-core";
import { PgDialect as PgDialect1 } from "drizzle-orm-1/pg-core";
import ts from "typescript";
import { expect, test } from "vitest";
import { drizzleVersions } from "../support/drizzle/versions.ts";

test("Drizzle 0.44 does not escape a double quote in the name of a schema", () => {
  const escaped = [PgDialect044, PgDialect, PgDialect1].map((Dialect) => new Dialect().escapeName('a "schema"'));
  expect(escaped).toEqual(['"a "schema""', '"a ""schema"""', '"a ""schema"""']);
});

test.each(drizzleVersions)("the compiler finds type errors with $installedAs in: $typeErrorsIn", (version) => {
  expect(typeErrorsIn(version.installedAs)).toEqual(version.typeErrorsIn);
});

/** The functions of the application, and the files of the built package, that do not pass if "drizzle-orm" is another one. */
function typeErrorsIn(drizzle: string): string[] {
  const folder = join(process.cwd(), "node_modules", drizzle);
  const program = ts.createProgram(["test/support/drizzle/application.ts"], {
    strict: true,
    exactOptionalPropertyTypes: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    types: ["node"],
    paths: { "drizzle-orm": [join(folder, "index.d.ts")], "drizzle-orm/*": [join(folder, "*/index.d.ts")] },
    noEmit: true,
  });
  const ours = program.getSourceFiles().filter(({ fileName }) => !fileName.includes("/node_modules/"));
  expect(ours.map(({ fileName }) => relative("", fileName))).toContain("dist/index.d.ts");
  const places = ours.flatMap((file) => {
    const errors = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return errors.map(({ start = 0 }) => {
      const statement = file.statements.find(({ pos, end }) => pos <= start && start < end);
      const isFunction = !file.isDeclarationFile && statement && ts.isFunctionDeclaration(statement);
      return (isFunction && statement.name?.text) || relative("", file.fileName);
    });
  });
  return [...new Set(places)].sort();
}
