import type { Viewport } from "next";
import type { ReactNode } from "react";
import "./style.css";

export const viewport: Viewport = {
  colorScheme: "light dark",
  // The message box stays above a phone's keyboard.
  interactiveWidget: "resizes-content",
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
