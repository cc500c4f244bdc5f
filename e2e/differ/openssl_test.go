package differ

import (
	"bufio"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

//go:embed openssl/openssl.c
var openSSLProgram string

// An openSSL is a process that has connections of OpenSSL, one after the other.
type openSSL struct {
	in   io.WriteCloser
	out  *bufio.Reader
	seen view
	sent [][]byte // by the present connection, since it was asked last
}

var programs string // a directory for what is compiled

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "differ"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(programs)
	os.Exit(code)
}

// compiled is the program, compiled once.
var compiled = sync.OnceValues(func() (program string, err error) {
	program = filepath.Join(programs, "openssl")
	compile := exec.Command("cc", "-O2", "-o", program, "-x", "c", "-", "-lssl", "-lcrypto")
	compile.Stdin = strings.NewReader(openSSLProgram)
	if said, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it needs cc and libssl-dev: %w\n%s", err, said)
	}
	return program, nil
})

// startOpenSSL skips the test where there is no C compiler, or no libssl to compile with.
func startOpenSSL(t testing.TB) *openSSL {
	t.Helper()
	program, err := compiled()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	run := exec.Command(program)
	run.Stderr = t.Output()
	o := &openSSL{in: must(run.StdinPipe())(t)}
	o.out = bufio.NewReaderSize(must(run.StdoutPipe())(t), 1<<16)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.in.Close()
		if err := run.Wait(); err != nil {
			t.Error("OpenSSL:", err)
		}
	})
	return o
}

func (o *openSSL) version() string {
	o.write('v', nil)
	_, version := o.read()
	return string(version)
}

// begin makes a new connection; see openssl.c for the setting.
func (o *openSSL) begin(setting string) *openSSL {
	o.seen = view{}
	o.ask('n', []byte(setting))
	return o
}

func (o *openSSL) start() [][]byte { return o.sent }

func (o *openSSL) receive(in []byte) [][]byte {
	o.ask('i', in)
	return o.sent
}

func (o *openSSL) view() view { return o.seen }
func (o *openSSL) close()     {}

// ask writes a command and reads what it leads to.
func (o *openSSL) ask(kind byte, data []byte) {
	o.write(kind, data)
	o.sent = nil
	for {
		switch kind, data := o.read(); kind {
		case 'o':
			o.sent = append(o.sent, data)
		case 'p':
			o.seen.data = append(o.seen.data, data...)
		case 's':
			o.seen.open = data[0] == 1
			switch {
			case data[1] == 1:
				o.seen.err = errors.New(string(data[3:]))
			case data[2] == 1:
				o.seen.err = io.EOF
			}
			return
		}
	}
}

func (o *openSSL) write(kind byte, data []byte) {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data)))
	if _, err := o.in.Write(append(head, data...)); err != nil {
		panic(fmt.Sprint("OpenSSL is gone: ", err))
	}
}

func (o *openSSL) read() (kind byte, data []byte) {
	head := make([]byte, 5)
	_, err := io.ReadFull(o.out, head)
	if err == nil {
		data = make([]byte, binary.BigEndian.Uint32(head[1:]))
		_, err = io.ReadFull(o.out, data)
	}
	if err != nil {
		panic(fmt.Sprint("OpenSSL is gone: ", err))
	}
	return head[0], data
}
