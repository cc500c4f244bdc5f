package main

import (
	"os"
	"runtime"
	"runtime/pprof"
)

// A profile is where profiles go; nowhere if a name is empty.
type profile struct{ cpu, memory string }

// start begins to profile, until stop.
func (p profile) start() (stop func() error, err error) {
	if p.memory != "" {
		runtime.MemProfileRate = 512 // bytes; set before anything is counted
	}
	if p.cpu == "" {
		return p.writeMemory, nil
	}
	f, err := os.Create(p.cpu)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			return err
		}
		return p.writeMemory()
	}, nil
}

func (p profile) writeMemory() error {
	if p.memory == "" {
		return nil
	}
	f, err := os.Create(p.memory)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("allocs").WriteTo(f, 0)
}
