export default function NotFound() {
  return (
    <main className="chat-app notice">
      <title>Not found</title>
      <h1>There is no such chat.</h1>
      <a href="/">Start a new one</a>
    </main>
  );
}
