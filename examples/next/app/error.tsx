"use client";

export default function ErrorPage() {
  return (
    <main className="chat-app notice">
      <title>Error</title>
      <h1>The page could not be loaded.</h1>
      <a href="/">Try again</a>
    </main>
  );
}
