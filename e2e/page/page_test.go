package page

import (
	"os"
	"path/filepath"
	"testing"
)

// A section is replaced, what is around it stays, and without one nothing changes.
func TestSection(t *testing.T) {
	s, file := Section{"table", "go run ./something"}, filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"", s.Begin(), s.End() + s.Begin(), Section{"other", s.Command}.Begin() + s.End()} {
		write(text)
		if err := s.Replace(file, "new"); err == nil {
			t.Errorf("%q has a place for it", text)
		}
		if got, _ := os.ReadFile(file); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	write("before\n" + s.Begin() + "old\n" + s.End() + "after\n")
	if err := s.Replace(file, "new\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(file); err != nil || got != "\nnew\n\n" {
		t.Errorf("read %q, %v", got, err)
	}
	if got, _ := os.ReadFile(file); string(got) != "before\n"+s.Begin()+"\nnew\n\n"+s.End()+"after\n" {
		t.Errorf("%q", got)
	}
}
