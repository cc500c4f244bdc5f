package main

import "syscall"

// endWithParent has the process killed should this program be, which can't do it then.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
