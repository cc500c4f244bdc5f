//go:build !linux

package main

import "syscall"

// endWithParent has nothing to ask the system for: what starts a browser must not be
// killed with SIGKILL there.
func endWithParent(*syscall.SysProcAttr) {}
