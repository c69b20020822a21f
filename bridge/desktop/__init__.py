"""What differs from system to system: file systems, services at log-in, notifications, the DAWs' folders."""
