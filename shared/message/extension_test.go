package message_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A form is one form of an extension's body.
type form struct {
	typ    protocol.ExtensionType
	name   string
	body   string // a valid one, spelled out from its RFC
	values any    // what it parses to, a slice if there are several
	parse  func(body []byte) (any, error)
	append func(b *wire.Builder, v any)
}

// one makes a form of functions for a single value.
func one[T any](typ protocol.ExtensionType, name, body string, value T, parse func([]byte) (T, error), add func(*wire.Builder, T)) form {
	return form{typ, name, body, value,
		func(body []byte) (any, error) { return parse(body) },
		func(b *wire.Builder, v any) { add(b, v.(T)) }}
}

type srtp struct {
	profiles message.Uint16s
	mki      []byte
}

var binders = []string{strings.Repeat("x", 32), strings.Repeat("y", 48)}

var forms = []form{
	one(protocol.ExtServerName, "client", "\x00\x0e\x00\x00\x0bexample.org", "example.org", message.ParseServerName, message.AppendServerName),
	one(protocol.ExtMaxFragmentLength, "", "\x04", uint8(4), message.ParseMaxFragmentLength, message.AppendMaxFragmentLength),
	one(protocol.ExtStatusRequest, "client", "\x01\x00\x00\x00\x00", true, message.ParseStatusRequest, func(b *wire.Builder, _ bool) { message.AppendStatusRequest(b) }),
	one(protocol.ExtSCT, "", "\x00\x07\x00\x01a\x00\x02bc", [][]byte{[]byte("a"), []byte("bc")}, message.ParseSCTs, message.AppendSCTs),
	one(protocol.ExtSupportedGroups, "", "\x00\x04\x11\xec\x00\x1d", message.Uint16s("\x11\xec\x00\x1d"), message.ParseSupportedGroups, message.AppendSupportedGroups),
	one(protocol.ExtECPointFormats, "", "\x01\x00", []byte{0}, message.ParseECPointFormats, message.AppendECPointFormats),
	one(protocol.ExtSignatureAlgorithms, "", "\x00\x04\x08\x07\x04\x03", message.Uint16s("\x08\x07\x04\x03"), message.ParseSignatureAlgorithms, message.AppendSignatureAlgorithms),
	one(protocol.ExtSignatureAlgsCert, "", "\x00\x02\x04\x03", message.Uint16s("\x04\x03"), message.ParseSignatureAlgsCert, message.AppendSignatureAlgsCert),
	one(protocol.ExtUseSRTP, "", "\x00\x04\x00\x07\x00\x08\x01m", srtp{message.Uint16s("\x00\x07\x00\x08"), []byte("m")},
		func(body []byte) (srtp, error) {
			profiles, mki, err := message.ParseUseSRTP(body)
			return srtp{profiles, mki}, err
		},
		func(b *wire.Builder, s srtp) { message.AppendUseSRTP(b, s.profiles, s.mki) }),
	one(protocol.ExtALPN, "client", "\x00\x06\x02h3\x02h2", []string{"h3", "h2"}, message.ParseALPN, message.AppendALPN),
	one(protocol.ExtALPN, "selected", "\x00\x03\x02h2", "h2", message.ParseALPNSelected, func(b *wire.Builder, p string) { message.AppendALPN(b, []string{p}) }),
	one(protocol.ExtClientCertType, "client", "\x02\x02\x00", certificateTypes{protocol.RawPublicKey, protocol.X509}, parseCertificateTypes(protocol.ExtClientCertType), appendCertificateTypes),
	one(protocol.ExtClientCertType, "selected", "\x02", protocol.RawPublicKey, parseCertificateType(protocol.ExtClientCertType), message.AppendCertificateType),
	one(protocol.ExtServerCertType, "client", "\x01\x02", certificateTypes{protocol.RawPublicKey}, parseCertificateTypes(protocol.ExtServerCertType), appendCertificateTypes),
	one(protocol.ExtServerCertType, "selected", "\x00", protocol.X509, parseCertificateType(protocol.ExtServerCertType), message.AppendCertificateType),
	one(protocol.ExtCompressCertificate, "", "\x04\x00\x02\x00\x01", message.Uint16s("\x00\x02\x00\x01"), message.ParseCompressCertificate, message.AppendCompressCertificate),
	one(protocol.ExtDelegatedCredential, "asks", "\x00\x04\x04\x03\x08\x07", message.Uint16s("\x04\x03\x08\x07"), message.ParseDelegatedSchemes, message.AppendDelegatedSchemes),
	one(protocol.ExtDelegatedCredential, "answers", "\x00\x01\x51\x80\x04\x03\x00\x00\x03key\x08\x04\x00\x02si",
		message.DelegatedCredential{ValidTime: 86400, Scheme: 0x0403, Info: []byte("key"), Algorithm: 0x0804, Signature: []byte("si")},
		func(body []byte) (d message.DelegatedCredential, err error) {
			err = d.Parse(body)
			return d, err
		},
		func(b *wire.Builder, d message.DelegatedCredential) { d.Append(b) }),
	one(protocol.ExtRecordSizeLimit, "", "\x40\x01", uint16(0x4001), message.ParseRecordSizeLimit, message.AppendRecordSizeLimit),
	one(protocol.ExtSupportedVersions, "client", "\x04\xfe\xfc\xfe\xfd", message.Uint16s("\xfe\xfc\xfe\xfd"), message.ParseSupportedVersions, message.AppendSupportedVersions),
	one(protocol.ExtSupportedVersions, "selected", "\xfe\xfc", protocol.VersionDTLS13, message.ParseSelectedVersion, message.AppendSelectedVersion),
	one(protocol.ExtCertAuthorities, "", "\x00\x07\x00\x01a\x00\x02bc", [][]byte{[]byte("a"), []byte("bc")}, message.ParseCertAuthorities, message.AppendCertAuthorities),
	one(protocol.ExtConnectionID, "", "\x03cid", []byte("cid"), message.ParseConnectionID, message.AppendConnectionID),
	one(protocol.ExtRenegotiationInfo, "", "\x00", []byte{}, message.ParseRenegotiationInfo, message.AppendRenegotiationInfo),
	one(protocol.ExtKeyShare, "client", "\x00\x0b\x00\x1d\x00\x01k\x00\x17\x00\x02lm",
		[]message.KeyShare{{Group: 0x1d, Key: []byte("k")}, {Group: 0x17, Key: []byte("lm")}}, collectKeyShares, message.AppendKeyShares),
	one(protocol.ExtKeyShare, "server", "\x00\x1d\x00\x01k", message.KeyShare{Group: 0x1d, Key: []byte("k")},
		func(body []byte) (message.KeyShare, error) {
			group, key, err := message.ParseKeyShare(body)
			return message.KeyShare{Group: group, Key: key}, err
		},
		func(b *wire.Builder, s message.KeyShare) { message.AppendKeyShare(b, s.Group, s.Key) }),
	one(protocol.ExtKeyShare, "retry", "\x00\x17", uint16(0x17), message.ParseKeyShareRetry, message.AppendKeyShareRetry),
	one(protocol.ExtCookie, "", "\x00\x06cookie", []byte("cookie"), message.ParseCookie, message.AppendCookie),
	one(protocol.ExtPSKModes, "", "\x01\x01", []byte{message.PSKWithECDHE}, message.ParsePSKModes, message.AppendPSKModes),
	one(protocol.ExtPreSharedKey, "client", "\x00\x0f\x00\x02id\x00\x00\x00\x07\x00\x01j\x00\x00\x00\x00"+"\x00\x52\x20"+binders[0]+"\x30"+binders[1],
		message.OfferedPSKs{
			Identities: []message.PSKIdentity{{Identity: []byte("id"), ObfuscatedAge: 7}, {Identity: []byte("j")}},
			Binders:    [][]byte{[]byte(binders[0]), []byte(binders[1])},
		}, message.ParsePreSharedKey, message.AppendPreSharedKey),
	one(protocol.ExtPreSharedKey, "server", "\x00\x01", uint16(1), message.ParseSelectedIdentity, message.AppendSelectedIdentity),
	one(protocol.ExtTLSFlags, "", "\x02\x02\x01", message.Flags{}.With(1).With(message.ResumptionAcrossNames), message.ParseFlags, message.AppendFlags),
	one(protocol.ExtEarlyData, "ticket", "\x00\x00\x40\x00", uint32(1<<14), message.ParseEarlyData, message.AppendEarlyData),
}

type certificateTypes []protocol.CertificateType

func parseCertificateTypes(t protocol.ExtensionType) func([]byte) (certificateTypes, error) {
	return func(body []byte) (certificateTypes, error) { return message.ParseCertificateTypes(t, body) }
}

func appendCertificateTypes(b *wire.Builder, types certificateTypes) {
	message.AppendCertificateTypes(b, types)
}

func parseCertificateType(t protocol.ExtensionType) func([]byte) (protocol.CertificateType, error) {
	return func(body []byte) (protocol.CertificateType, error) { return message.ParseCertificateType(t, body) }
}

func collectKeyShares(body []byte) ([]message.KeyShare, error) {
	var shares []message.KeyShare
	list, err := message.ParseKeyShares(body)
	for group, key := range list.All() {
		shares = append(shares, message.KeyShare{Group: group, Key: key})
	}
	return shares, err
}

// RFC 9146 3 [1]; RFC 9846 4.3 [1, 2]
func TestExtensionBodiesRoundTrip(t *testing.T) {
	for _, form := range forms {
		t.Run(fmt.Sprint(form.typ, " ", form.name), func(t *testing.T) {
			body := []byte(form.body)
			got, err := form.parse(body)
			if err != nil || !reflect.DeepEqual(got, form.values) {
				t.Fatalf("got %v, %v, want %v", got, err, form.values)
			}
			if again := appended(func(b *wire.Builder) { form.append(b, got) }); !bytes.Equal(again, body) {
				t.Errorf("appended as %x, came as %x", again, body)
			}
			for n := range body {
				_, err := form.parse(body[:n:n])
				wantAlert(t, err, alert.DecodeError, form.typ.String()+": ")
			}
			_, err = form.parse(append(slices.Clone(body), 0))
			wantAlert(t, err, alert.DecodeError, form.typ.String()+": ")
		})
	}
}

func TestExtensionBodiesRefuse(t *testing.T) {
	binder := "\x20" + binders[0]
	tests := []struct {
		typ   protocol.ExtensionType
		form  string
		body  string
		alert alert.Alert
		text  string
	}{
		{protocol.ExtServerName, "client", "\x00\x00", alert.DecodeError, "server_name_list: length 0"},
		{protocol.ExtServerName, "client", "\x00\x03\x00\x00\x00", alert.DecodeError, "host_name: length 0"},
		{protocol.ExtServerName, "client", "\x00\x05\x00\x00\x02a.", alert.IllegalParameter, "trailing dot"},
		{protocol.ExtServerName, "client", "\x00\x06\x00\x00\x03a\x00b", alert.IllegalParameter, "not ASCII"},
		{protocol.ExtServerName, "client", "\x00\x05\x00\x00\x02\xc3\xa4", alert.IllegalParameter, "not ASCII"},
		{protocol.ExtServerName, "client", "\x00\x04\x01\x00\x01a", alert.IllegalParameter, "name_type: got 1"},
		{protocol.ExtServerName, "client", "\x00\x08\x00\x00\x01a\x00\x00\x01b", alert.IllegalParameter, "more than one host_name"},
		{protocol.ExtMaxFragmentLength, "", "\x00", alert.IllegalParameter, "got 0, want 1 to 4"},
		{protocol.ExtMaxFragmentLength, "", "\x05", alert.IllegalParameter, "got 5, want 1 to 4"},
		{protocol.ExtStatusRequest, "client", "\x01\x00\x02\x00\x00\x00\x00", alert.DecodeError, "responder_id: length 0"},
		{protocol.ExtSupportedGroups, "", "\x00\x00", alert.DecodeError, "named_group_list: length 0"},
		{protocol.ExtSupportedGroups, "", "\x00\x03\x00\x1d\x00", alert.DecodeError, "named_group_list: odd length 3"},
		{protocol.ExtECPointFormats, "", "\x00", alert.DecodeError, "length 0"},
		{protocol.ExtSignatureAlgorithms, "", "\x00\x00", alert.DecodeError, "length 0"},
		{protocol.ExtSignatureAlgsCert, "", "\x00\x03\x04\x03\x00", alert.DecodeError, "odd length 3"},
		{protocol.ExtUseSRTP, "", "\x00\x00\x00", alert.DecodeError, "profiles: length 0"},
		{protocol.ExtUseSRTP, "", "\x00\x03\x00\x07\x00\x00", alert.DecodeError, "profiles: odd length 3"},
		{protocol.ExtALPN, "client", "\x00\x00", alert.DecodeError, "protocol_name_list: length 0"},
		{protocol.ExtALPN, "client", "\x00\x04\x02h2\x00", alert.DecodeError, "protocol_name: length 0"},
		{protocol.ExtALPN, "selected", "\x00\x06\x02h3\x02h2", alert.IllegalParameter, "selected 2 protocols"},
		{protocol.ExtClientCertType, "client", "\x00", alert.IllegalParameter, "certificate_types: []"},
		{protocol.ExtServerCertType, "client", "\x01\x00", alert.IllegalParameter, "certificate_types: [X509]"},
		{protocol.ExtCompressCertificate, "", "\x00", alert.DecodeError, "algorithms: length 0"},
		{protocol.ExtCompressCertificate, "", "\x03\x00\x01\x00", alert.DecodeError, "algorithms: odd length 3"},
		{protocol.ExtCompressCertificate, "", "\x06\x00\x01\x00\x02\x00\x01", alert.IllegalParameter, "algorithms: 1 is there twice"},
		{protocol.ExtRecordSizeLimit, "", "\x00\x3f", alert.IllegalParameter, "got 63, want 64"},
		{protocol.ExtSupportedVersions, "client", "\x00", alert.DecodeError, "versions: length 0"},
		{protocol.ExtSupportedVersions, "client", "\x03\x03\x04\x03", alert.DecodeError, "versions: odd length 3"},
		{protocol.ExtSupportedVersions, "client", "\xff" + strings.Repeat("v", 255), alert.DecodeError, "versions: length 255, want 2 to 254"},
		{protocol.ExtCertAuthorities, "", "\x00\x00", alert.DecodeError, "certificate_authorities: length 0"},
		{protocol.ExtCertAuthorities, "", "\x00\x05\x00\x01a\x00\x00", alert.DecodeError, "distinguished_name: length 0"},
		{protocol.ExtKeyShare, "client", "\x00\x04\x00\x1d\x00\x00", alert.DecodeError, "client_shares: entry 29: length 0"},
		{protocol.ExtKeyShare, "client", "\x00\x0a\x00\x1d\x00\x01k\x00\x1d\x00\x01l", alert.IllegalParameter, "client_shares: entry 29 is there twice"},
		{protocol.ExtKeyShare, "server", "\x00\x1d\x00\x00", alert.DecodeError, "key_exchange: length 0"},
		{protocol.ExtCookie, "", "\x00\x00", alert.DecodeError, "cookie: length 0"},
		{protocol.ExtPSKModes, "", "\x00", alert.DecodeError, "ke_modes: length 0"},
		{protocol.ExtPreSharedKey, "client", "\x00\x00\x00\x21" + binder, alert.DecodeError, "identities: length 0"},
		{protocol.ExtPreSharedKey, "client", "\x00\x07\x00\x00\x00\x00\x00\x07\x00" + "\x00\x21" + binder, alert.DecodeError, "identity: length 0"},
		{protocol.ExtPreSharedKey, "client", "\x00\x07\x00\x01a\x00\x00\x00\x07" + "\x00\x00", alert.DecodeError, "there are no binders"},
		{protocol.ExtPreSharedKey, "client", "\x00\x07\x00\x01a\x00\x00\x00\x07" + "\x00\x42" + binder + binder, alert.IllegalParameter, "2 for 1"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.typ, " ", test.text), func(t *testing.T) {
			_, err := formOf(test.typ, test.form).parse([]byte(test.body))
			wantAlert(t, err, test.alert, test.typ.String()+": ")
			wantAlert(t, err, test.alert, test.text)
		})
	}
}

func formOf(typ protocol.ExtensionType, name string) form {
	return forms[slices.IndexFunc(forms, func(f form) bool { return f.typ == typ && f.name == name })]
}

func TestValidExtensionBodiesOfOtherShapes(t *testing.T) {
	if ocsp, err := message.ParseStatusRequest([]byte("\x02anything")); ocsp || err != nil {
		t.Errorf("status_request of an unknown type: got %v, %v, want no OCSP", ocsp, err)
	}
	if ocsp, err := message.ParseStatusRequest([]byte("\x01\x00\x03\x00\x01r\x00\x01x")); !ocsp || err != nil {
		t.Errorf("status_request with a responder and extensions: got %v, %v", ocsp, err)
	}
	if shares, err := message.ParseKeyShares([]byte("\x00\x00")); len(shares) != 0 || err != nil {
		t.Errorf("key_share with no shares, which asks for a group: got %v, %v", shares, err)
	}
	if shares, err := message.ParseKeyShares([]byte(formOf(protocol.ExtKeyShare, "client").body)); shares.Len() != 2 || err != nil {
		t.Errorf("got %d key shares, %v, want 2", shares.Len(), err)
	}
	if err := message.ParseEmptyExtension(protocol.ExtExtendedMasterSecret, nil); err != nil {
		t.Error(err)
	}
	err := message.ParseEmptyExtension(protocol.ExtExtendedMasterSecret, []byte{0})
	wantAlert(t, err, alert.DecodeError, "extended_master_secret: ")
}

func TestBindersLen(t *testing.T) {
	offer := formOf(protocol.ExtPreSharedKey, "client")
	psks, err := message.ParsePreSharedKey([]byte(offer.body))
	if want := 2 + 1 + 32 + 1 + 48; err != nil || psks.BindersLen() != want {
		t.Fatalf("got %d, %v, want %d", psks.BindersLen(), err, want)
	}
	withoutBinders := offer.body[:len(offer.body)-psks.BindersLen()]
	if want := "\x00\x0f\x00\x02id\x00\x00\x00\x07\x00\x01j\x00\x00\x00\x00"; withoutBinders != want {
		t.Errorf("the body without its binders is %x, want %x", withoutBinders, want)
	}
}

func TestExtensions(t *testing.T) {
	var b wire.Builder
	message.AppendExtension(&b, protocol.ExtServerName, func() { message.AppendServerName(&b, "a") })
	message.AppendExtension(&b, protocol.ExtEarlyData, func() {})
	block, _ := b.Bytes()
	if want := "\x00\x00\x00\x06\x00\x04\x00\x00\x01a" + "\x00\x2a\x00\x00"; string(block) != want {
		t.Fatalf("got %x, want %x", block, want)
	}
	e := message.Extensions(block)
	if body, ok := e.Find(protocol.ExtServerName); !ok || string(body) != "\x00\x04\x00\x00\x01a" {
		t.Errorf("server_name: got %x, %v", body, ok)
	}
	if body, ok := e.Find(protocol.ExtEarlyData); !ok || len(body) != 0 {
		t.Errorf("early_data: got %x, %v", body, ok)
	}
	if body, ok := e.Find(protocol.ExtCookie); ok || body != nil {
		t.Errorf("cookie: got %x, %v, want none", body, ok)
	}
	if last, ok := e.Last(); !ok || last != protocol.ExtEarlyData {
		t.Errorf("last is %v, %v, want early_data", last, ok)
	}
	if _, ok := message.Extensions(nil).Last(); ok {
		t.Error("no extensions have a last one")
	}
	var types []protocol.ExtensionType
	for typ := range e.All() {
		types = append(types, typ)
		break
	}
	if !slices.Equal(types, []protocol.ExtensionType{protocol.ExtServerName}) {
		t.Errorf("got %v before the break", types)
	}
}

// TestDuplicateExtensions puts the same type at two places of lists around the
// length where the way to look for duplicates changes.
//
// RFC 9846 4.3 [7]
func TestDuplicateExtensions(t *testing.T) {
	for _, n := range []int{2, 31, 32, 33, 34, 100, 1000} {
		for _, places := range [][2]int{{0, 1}, {0, n - 1}, {n - 2, n - 1}, {n / 2, n - 1}} {
			if places[0] == places[1] {
				continue
			}
			types := make([]uint16, n)
			for i := range types {
				types[i] = uint16(65535 - i*65) // all words and bits of the bitmap
			}
			if err := parseExtensions(types); err != nil {
				t.Fatalf("%d distinct extensions: %v", n, err)
			}
			types[places[1]] = types[places[0]]
			wantAlert(t, parseExtensions(types), alert.DecodeError, fmt.Sprintf("entry %d is there twice", types[places[0]]))
		}
	}
}

func parseExtensions(types []uint16) error {
	body := appended(func(b *wire.Builder) {
		b.Vector16(func() {
			for _, typ := range types {
				message.AppendExtension(b, protocol.ExtensionType(typ), func() {})
			}
		})
	})
	return new(message.EncryptedExtensions).Parse(body)
}

// FuzzExtension takes the first two bytes as type and the rest as body: what
// parses in one of the type's forms is appended as the same bytes.
func FuzzExtension(f *testing.F) {
	for _, form := range forms {
		f.Add(append([]byte{byte(form.typ >> 8), byte(form.typ)}, form.body...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		typ, body := protocol.ExtensionType(data[0])<<8|protocol.ExtensionType(data[1]), data[2:]
		for _, form := range forms {
			if form.typ != typ {
				continue
			}
			value, err := form.parse(body)
			if err != nil {
				if fault := new(alert.Error); !errors.As(err, &fault) {
					t.Fatalf("%v, %s form: an error with no alert: %v", typ, form.name, err)
				}
				continue
			}
			if typ == protocol.ExtStatusRequest {
				continue // what is in it isn't kept
			}
			if again := appended(func(b *wire.Builder) { form.append(b, value) }); !bytes.Equal(again, body) {
				t.Fatalf("%v, %s form, came as\n%x, appended as\n%x", typ, form.name, body, again)
			}
		}
	})
}
