package dtls

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var groupID = regexp.MustCompile(`"group_id":"[0-9a-f]{16}"`)

// A whole conversation as a qlog, in docs/qlog: a handshake with a pre-shared key whose second
// datagram of the client gets lost, data, key updates in 1.3, noise, and a goodbye.
// `go test ./dtls -run Qlog -update` writes the files.
func TestQlog(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, sharedKey)
		var out [2]bytes.Buffer
		client.Trace, server.Trace = NewQlog(&out[0]), NewQlog(&out[1])
		s := simulate(t, 0, client, server, fated(losing(func(p *parcel) bool { return p.index == 2 })))
		s.settle()
		s.client.post("data")
		s.settle()
		name := "1.2"
		if s.client.version.Is13() {
			name = "1.3"
			s.client.did(s.client.KeyUpdate(UpdateRequested, s.now))
			s.settle()
			s.server.post("under new keys")
			s.settle()
		}
		s.server.receive([]byte("noise"))
		s.client.Close(s.now)
		s.client.transmit()
		s.settle()
		for i, role := range []string{"client", "server"} {
			checkQlog(t, out[i].String(), role)
			got := groupID.ReplaceAll(out[i].Bytes(), []byte(`"group_id":"0123456789abcdef"`))
			file := filepath.Join("..", "docs", "qlog", role+"-"+name+".sqlog")
			if *update {
				if err := os.WriteFile(file, got, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is another now; go test ./dtls -run Qlog -update writes\n%s", file, got)
			}
		}
	})
}

// checkQlog checks a log as its reader would: by records, each a JSON text of the schema,
// in the order of their times, of one connection.
func checkQlog(t *testing.T, log, role string) {
	t.Helper()
	records := strings.Split(log, "\x1e")
	if records[0] != "" {
		t.Fatalf("the log begins with %q", records[0])
	}
	var header struct {
		FileSchema string `json:"file_schema"`
		Trace      struct {
			VantagePoint struct{ Type string } `json:"vantage_point"`
			EventSchemas []string              `json:"event_schemas"`
		}
	}
	if err := json.Unmarshal([]byte(records[1]), &header); err != nil || header.Trace.VantagePoint.Type != role || len(header.Trace.EventSchemas) != 1 {
		t.Errorf("%v: header %s", err, records[1])
	}
	last, group, inRecords := 0.0, "", 0.0
	for _, text := range records[2:] {
		var event struct {
			Time    *float64
			Name    string
			GroupID string         `json:"group_id"`
			Data    map[string]any // an object, and there
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&event); err != nil || !strings.HasSuffix(text, "}\n") || strings.Count(text, "\n") != 1 {
			t.Fatalf("%v: %q", err, text)
		}
		if group == "" {
			group = event.GroupID
		}
		if event.Time == nil || *event.Time < last || !strings.HasPrefix(event.Name, "dtls:") || event.Data == nil || event.GroupID != group || group == "" {
			t.Errorf("%q", text)
		}
		last = *event.Time
		switch length, _ := event.Data["length"].(float64); event.Name {
		case "dtls:record_sent":
			inRecords += length
		case "dtls:datagram_sent":
			if length != inRecords {
				t.Errorf("%v bytes of records in %q", inRecords, text)
			}
			inRecords = 0
		}
	}
}

// Neither what is said nor what protects it gets into a log.
func TestQlogIsDiscreet(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		var log, keys bytes.Buffer
		client.Trace, client.KeyLogWriter = NewQlog(&log), &keys
		s := simulate(t, 0, client, server)
		s.settle()
		s.client.post("what nobody else may know")
		s.settle()
		for line := range strings.Lines(keys.String()) {
			if secret := strings.Fields(line)[2]; strings.Contains(log.String(), secret) {
				t.Errorf("the log has %s", line)
			}
		}
		if keys.Len() == 0 || strings.Contains(log.String(), "nobody") {
			t.Error("the log has the data")
		}
	})
}

// What a record of 1200 bytes costs both Engines with a qlog, and without.
func BenchmarkQlog(b *testing.B) {
	for _, c := range []struct {
		name  string
		trace func(Event)
	}{{"off", nil}, {"on", NewQlog(io.Discard)}} {
		b.Run(c.name, func(b *testing.B) {
			client, server := with()
			client.Trace, server.Trace = c.trace, c.trace
			s := established(b, client, server)
			data, buf := make([]byte, 1200), make([]byte, 1500)
			b.ReportAllocs()
			for b.Loop() {
				n, err := s.client.Write(buf, data, s.now)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.server.Receive(buf[:n], s.now); err != nil {
					b.Fatal(err)
				}
				s.server.Read(data)
			}
		})
	}
}
