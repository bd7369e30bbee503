// The build and the tests inline these files as text.
declare module "*.sql" {
  const text: string;
  export default text;
}
