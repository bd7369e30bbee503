import "./style.css";

export const viewport = {
  // The message box stays above a phone's keyboard, and the page may use the edges of the screen.
  interactiveWidget: "resizes-content",
  viewportFit: "cover",
};

export default function Layout({ children }: { children: React.ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
