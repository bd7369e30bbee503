import type { Viewport } from "next";
import type { ReactNode } from "react";
import "./style.css";

export const viewport: Viewport = {
  colorScheme: "light dark",
  // The message box stays above a phone's keyboard, and beside its notch.
  interactiveWidget: "resizes-content",
  viewportFit: "cover",
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
