import { badRequest } from "./errors.ts";

/**
 * What zod, Valibot, ArkType and others make.
 * @see https://standardschema.dev
 */
export interface StandardSchema<Output> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Returns what the schema makes of the value. `name`: of the field that the client has sent. */
export async function validate<Output>(schema: StandardSchema<Output>, value: unknown, name: string): Promise<Output> {
  const result = await schema["~standard"].validate(value);
  if (!result.issues) return result.value;
  const lines = result.issues.slice(0, 20).map(({ path = [], message }) => {
    const keys = path.map((segment) => String(typeof segment === "object" ? segment.key : segment));
    const place = [name, ...keys].filter(Boolean).join(".");
    return `\n- ${place && `${place}: `}${message}`;
  });
  throw badRequest(`The body is not valid.${lines.join("")}`);
}
