/** Loaded before a program: `node:crypto` then has no `hash`, as in older runtimes. To import it by name is an error. */
import { registerHooks } from "node:module";

const names = Object.keys(process.getBuiltinModule("node:crypto")).filter((name) => name !== "hash");
const older = `
  const { hash, ...crypto } = process.getBuiltinModule("node:crypto");
  export default crypto;
  export const { ${names.join(", ")} } = crypto;
`;
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "node:crypto"
      ? { url: `data:text/javascript,${encodeURIComponent(older)}`, shortCircuit: true }
      : next(specifier, context),
});
