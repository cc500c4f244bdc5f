package peer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/pki"
)

// Godwit is examples/godwit. It prints every field.
type Godwit struct{}

func (Godwit) Name() string                      { return "godwit" }
func (Godwit) Speaks(Protocol) bool              { return true }
func (Godwit) Certifies(Protocol, pki.Kind) bool { return true }

// The program, and why there is none.
var (
	program  string
	errBuild = errors.New("peer.Build was not called")
)

// Build compiles examples/godwit of the module in root into a directory. If it
// fails, so does every test of godwit; those of the other peers still run.
func Build(root, directory string) {
	program = filepath.Join(directory, "godwit")
	build := exec.Command("go", "build", "-C", root, "-o", program, "./examples/godwit")
	output, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(build.Args, " "), err, output)
	}
	errBuild = err
}

func (g Godwit) Serve(t testing.TB, s Settings) Server {
	arguments := []string{"serve", "-once", strconv.Itoa(s.connections())}
	if s.Verify {
		arguments = append(arguments, "-client-auth", "verify")
	}
	if s.Staple {
		arguments = append(arguments, "-staple", s.Leaf.Staple)
	}
	if s.PSK != nil && s.PSK.Hint != "" {
		arguments = append(arguments, "-psk-hint", s.PSK.Hint)
	}
	p := g.start(t, append(arguments, godwitArguments(s)...), "127.0.0.1:0")
	return godwitServer{p, p.address(s.Max.network())}
}

func (g Godwit) Connect(t testing.TB, s Settings, address string) Conversation {
	arguments := []string{"connect"}
	if !s.Mute { // else it copies standard input, in which nothing comes
		arguments = append(arguments, "-send", Text)
	}
	if s.Root == "" && s.PSK == nil && !s.Raw {
		arguments = append(arguments, "-insecure")
	}
	if s.Name != "" {
		arguments = append(arguments, "-sni", s.Name)
	}
	if s.Staple {
		arguments = append(arguments, "-status")
	}
	if s.Fragment != 0 {
		arguments = append(arguments, "-max-fragment", strconv.Itoa(s.Fragment))
	}
	if s.Resume {
		arguments = append(arguments, "-resume", "1")
	}
	return godwitConversation{g.start(t, append(arguments, godwitArguments(s)...), address)}
}

func (Godwit) start(t testing.TB, arguments []string, address string) *process {
	t.Helper()
	if errBuild != nil {
		t.Fatal(errBuild)
	}
	return start(t, nil, program, append(arguments, address)...)
}

// godwitArguments are those that both commands understand.
func godwitArguments(s Settings) []string {
	arguments := []string{
		"-json",
		"-min", s.Min.Number(), "-max", s.Max.Number(),
	}
	option := func(name, value string) {
		if value != "" {
			arguments = append(arguments, name, value)
		}
	}
	if !s.Max.Datagram() {
		arguments = append(arguments, "-tls")
	}
	if s.Leaf != nil {
		option("-cert", s.Leaf.Chain)
		option("-key", s.Leaf.Key)
	}
	if s.PSK != nil {
		option("-psk", s.PSK.Identity+":"+s.PSK.Key)
	}
	if s.MTU != 0 {
		option("-mtu", strconv.Itoa(s.MTU))
	}
	if s.Record != 0 {
		option("-record-size", strconv.Itoa(s.Record))
	}
	if s.Raw {
		arguments = append(arguments, "-rpk", "-insecure")
	}
	if s.NoEMS { // there is no exporter then
		arguments = append(arguments, "-no-ems")
	} else {
		option("-export", fmt.Sprintf("%s:%d", ExporterLabel, ExporterLength))
	}
	if s.Update {
		arguments = append(arguments, "-key-update")
	}
	option("-ca", s.Root)
	option("-ciphers", strings.Join(s.Suites, ","))
	option("-groups", strings.Join(s.Groups, ","))
	option("-alpn", strings.Join(s.ALPN, ","))
	option("-keylog", s.KeyLog)
	return arguments
}

type godwitConversation struct{ *process }

type godwitServer struct {
	*process
	at string
}

func (s godwitServer) Address() string { return s.at }
func (s godwitServer) Report() Report  { s.t.Helper(); return godwitConversation{s.process}.Report() }

func (c godwitConversation) Report() Report {
	c.t.Helper()
	status := c.exit()
	stdout, stderr := c.output()
	r := Report{
		Echoed:     strings.Contains(stdout, Text),
		Received:   match(stderr, `the peer sent the alert (\w+)`),
		Sent:       match(stderr, `godwit: (\w+) \((?:peer|local) fault\)`),
		ExitStatus: status,
		Output:     fmt.Sprintf("%sexit status %d\n", c.log(), status),
	}
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "godwit: ") {
			r.Complaints = append(r.Complaints, line)
		}
	}
	for line := range strings.Lines(stdout) {
		// Of several conversations a resumed one counts, also if it has ended first.
		if strings.HasPrefix(line, "{") && !r.Resumed {
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				c.t.Fatalf("-json wrote %q: %v", line, err)
			}
			r.Established = true
			response, err := hex.DecodeString(r.Staple)
			if err != nil {
				c.t.Fatalf("-json wrote the OCSP response %q: %v", r.Staple, err)
			}
			r.Staple = ocspStatus(response)
		}
	}
	return r
}
