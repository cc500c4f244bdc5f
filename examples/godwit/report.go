package main

import (
	"encoding/hex"
	"encoding/json"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A report is what -json prints about an established connection. Names are
// IANA's and the RFCs', bytes are lower-case hex, and what there is none of is
// empty.
type report struct {
	Version      string `json:"version"`
	Cipher       string `json:"cipher"`
	Group        string `json:"group"`
	Signature    string `json:"signature"` // the server's
	Resumed      bool   `json:"resumed"`
	EarlyData    bool   `json:"early_data"` // 0-RTT data was taken
	ALPN         string `json:"alpn"`
	ServerName   string `json:"server_name"`
	Fingerprint  string `json:"peer_fingerprint"` // SHA-256 of the peer's certificate, or of its raw public key
	Staple       string `json:"ocsp_response"`    // as it came
	PSKIdentity  string `json:"psk_identity"`
	CIDLocal     string `json:"cid_local"`  // ours, which the peer writes
	CIDRemote    string `json:"cid_remote"` // the peer's
	Exporter     string `json:"exporter"`
	MaxPlaintext int    `json:"max_plaintext"` // bytes that the peer takes in one record
	Retransmits  uint64 `json:"retransmits"`
	BytesIn      uint64 `json:"bytes_in"` // of application data
	BytesOut     uint64 `json:"bytes_out"`
}

// newReport describes what a handshake agreed on, as seen by a role.
func newReport(s dtls.ConnectionState, role handshake.Role) report {
	r := report{
		Version:    protocol.Version(s.Version).String(),
		Resumed:    s.DidResume,
		EarlyData:  s.EarlyDataAccepted,
		ALPN:       s.NegotiatedProtocol,
		ServerName: s.ServerName,
		Staple:     hex.EncodeToString(s.OCSPResponse),

		PSKIdentity:  string(s.PSKIdentity),
		CIDLocal:     hex.EncodeToString(s.LocalConnectionID),
		CIDRemote:    hex.EncodeToString(s.RemoteConnectionID),
		MaxPlaintext: s.MaxPlaintext,
	}
	if known := suite.ByID(s.CipherSuite); known != nil {
		r.Cipher = known.Name
	}
	if known := suite.GroupByID(s.CurveID); known != nil {
		r.Group = known.Name
	}
	signature := s.LocalSignature
	if role == handshake.Client {
		signature = s.PeerSignature
	}
	if signature != 0 {
		r.Signature = cert.SchemeName(signature)
	}
	if der := shown(s); der != nil {
		r.Fingerprint = digest(der)
	}
	return r
}

// export adds the keying material that -export asks for.
func (r *report) export(s dtls.ConnectionState, e exporter) error {
	if e.length == 0 {
		return nil
	}
	material, err := s.ExportKeyingMaterial(e.label, nil, e.length)
	r.Exporter = hex.EncodeToString(material)
	return err
}

// print writes the report on a line of its own.
func (r report) print(out *output) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	out.line("%s", line)
}
