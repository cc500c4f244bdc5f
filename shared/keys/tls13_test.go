package keys

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func expect(t *testing.T, name string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s\n got %x\nwant %s", name, got, want)
	}
}

// RFC 8448 3: a full handshake. The hash up to CertificateVerify, which isn't
// printed there, is that of the messages that are.
func TestRFC8448Full(t *testing.T) {
	var (
		gcm    = suite.ByID(suite.TLS_AES_128_GCM_SHA256)
		shared = unhex(t, "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d")

		toServerHello       = unhex(t, "860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8")
		toCertificateVerify = unhex(t, "edb7725fa7a3473b031ec8ef65a2485493900138a2b91291407d7951a06110ed")
		toServerFinished    = unhex(t, "9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13")
		toClientFinished    = unhex(t, "209145a96ee8e2a122ff810047cc952684658d6049e86429426db87c54ad143d")
	)
	early := Schedule{crypto.SHA256, protocol.Stream}.Early(nil)
	expect(t, "early", early.value, "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a")

	handshake := early.Handshake(shared)
	expect(t, "handshake", handshake.value, "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac")
	client := handshake.ClientTraffic(toServerHello)
	expect(t, "c hs traffic", client.Bytes(), "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21")
	expect(t, "client key", client.Key(gcm).Key, "dbfaa693d1762c5b666af5d950258d01")
	expect(t, "client iv", client.Key(gcm).IV, "5bd3c71b836e0b76bb73265f")
	expect(t, "client finished", client.Finished(toServerFinished), "a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61")
	server := handshake.ServerTraffic(toServerHello)
	expect(t, "s hs traffic", server.Bytes(), "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
	expect(t, "server key", server.Key(gcm).Key, "3fce516009c21727d0f2e4e86ee403bc")
	expect(t, "server iv", server.Key(gcm).IV, "5d313eb2671276ee13000b30")
	expect(t, "server finished", server.Finished(toCertificateVerify), "9b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718")
	if n := server.Key(gcm).Number; n != nil {
		t.Errorf("a stream has no number key, got %x", n)
	}

	master := handshake.Master()
	expect(t, "master", master.value, "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919")
	client = master.ClientTraffic(toServerFinished)
	expect(t, "c ap traffic", client.Bytes(), "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
	expect(t, "client data key", client.Key(gcm).Key, "17422dda596ed5d9acd890e3c63f5051")
	expect(t, "client data iv", client.Key(gcm).IV, "5b78923dee08579033e523d9")
	server = master.ServerTraffic(toServerFinished)
	expect(t, "s ap traffic", server.Bytes(), "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
	expect(t, "server data key", server.Key(gcm).Key, "9f02283b6c9c07efc26bb9f2ac92e356")
	expect(t, "server data iv", server.Key(gcm).IV, "cf782b88dd83549aadf1e984")
	expect(t, "exp master", master.Exporter(toServerFinished).Bytes(), "fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50")

	resumption := master.Resumption(toClientFinished)
	expect(t, "res master", resumption.value, "7df235f2031d2a051287d02b0241b0bfdaf86cc856231f2d5aba46c434ec196c")
	expect(t, "resumption", resumption.PSK([]byte{0, 0}), "4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3")
}

// RFC 8448 4: resumption with 0-RTT.
func TestRFC8448Resumed(t *testing.T) {
	var (
		gcm           = suite.ByID(suite.TLS_AES_128_GCM_SHA256)
		psk           = unhex(t, "4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3")
		shared        = unhex(t, "f44194756ff9ec9d25180635d66ea6824c6ab3bf179977be37f723570e7ccb2e")
		beforeBinders = unhex(t, "63224b2e4573f2d3454ca84b9d009a04f6be9e05711a8396473aefa01e924a14")
		toClientHello = unhex(t, "08ad0fa05d7c7233b1775ba2ff9f4c5b8b59276b7f227f13a976245f5d960913")
	)
	early := Schedule{crypto.SHA256, protocol.Stream}.Early(psk)
	expect(t, "early", early.value, "9b2188e9b2fc6d64d71dc329900e20bb41915000f678aa839cbb797cb7d8332c")
	expect(t, "res binder", early.BinderResumption().value, "69fe131a3bbad5d63c64eebcc30e395b9d8107726a13d074e389dbc8a4e47256")
	expect(t, "binder", early.BinderResumption().Finished(beforeBinders), "3add4fb2d8fdf822a0ca3cf7678ef5e88dae990141c5924d57bb6fa31b9e5f9d")
	traffic := early.ClientTraffic(toClientHello)
	expect(t, "c e traffic", traffic.Bytes(), "3fbbe6a60deb66c30a32795aba0eff7eaa10105586e7be5c09678d63b6caab62")
	expect(t, "early key", traffic.Key(gcm).Key, "920205a5b7bf2115e6fc5c2942834f54")
	expect(t, "early iv", traffic.Key(gcm).IV, "6d475f0993c8e564610db2b9")
	expect(t, "e exp master", early.Exporter(toClientHello).Bytes(), "b2026866610937d7423e5be90862ccf24c0e6091186d34f812089ff5be2ef7df")
	expect(t, "handshake", early.Handshake(shared).value, "005cb112fd8eb4ccc623bb88a07c64b3ede1605363fc7d0df8c7ce4ff0fb4ae6")
}

// An external key of RFC 9258, imported for both KDFs, and its binders; computed
// by an implementation in another language from RFC 5869 up.
func TestImport(t *testing.T) {
	key := bytes.Repeat([]byte("ABCD"), 8)
	for _, c := range []struct {
		transport   protocol.Transport
		kdf         crypto.Hash
		identity    string
		psk, binder string
	}{
		{protocol.Stream, crypto.SHA256, "\x00\x04psk1\x00\x08context1\x03\x04\x00\x01",
			"77cfa040c1e1ca63f0cd989dbefb28f5129625b08ce4f258bb825a9b0a4642a0",
			"557b96eead81444b17a11ca597546381f08d76ad8f771943ac72b4c05a6ca655"},
		{protocol.Stream, crypto.SHA384, "\x00\x04psk1\x00\x08context1\x03\x04\x00\x02",
			"3cb0eb3c10863c51a674df9f7b5900b47aa9353ba35c475b7ff6ad53f868ea97ee896b7b54460853340f699b91949d8d",
			"48bf42c7436573ed116480afe520d1ea33eef44e1ae3b6711631e3fa4a3ac1e91993399746735b3a6a22bf4d19bd1181"},
		{protocol.Datagram, crypto.SHA256, "\x00\x04psk1\x00\x08context1\xfe\xfc\x00\x01",
			"1e4a15c8fecc0bdac69cd02f12ca50ef7f7f4872c16e05f403383cac4761e15a",
			"55fb8587189bb735a3c53d4b1f84e18cefe06ab0adff7a77191f6fc06d9a74f1"},
		{protocol.Datagram, crypto.SHA384, "\x00\x04psk1\x00\x08context1\xfe\xfc\x00\x02",
			"9289cc986cc806911b8e67f509e3edcddc0fea46ea2c626e172447e28bcd0c532fe1f83e6115348a71df76c75c693f59",
			"374fe7ae55d56a7bb4f7bd2cced33d8a2782b617c4d877b2f129d20ba4e0ea663cbedeb6873fe10e06580fa966e45a82"},
	} {
		psk := Schedule{crypto.SHA256, c.transport}.Import(key, []byte(c.identity), c.kdf.Size())
		expect(t, "imported", psk, c.psk)
		s := Schedule{c.kdf, c.transport}
		expect(t, "imp binder", s.Early(psk).BinderImported().Finished(s.sum([]byte("hello"))), c.binder)
	}
}

// Known answers for the labels of DTLS (wolfSSL#6366 had those of TLS), a longer
// hash and what RFC 8448 leaves out, computed by an implementation in another
// language from RFC 5869 up.
//
// RFC 9147 5.9 [1]
func TestPitfallLabelPrefix(t *testing.T) {
	var psk, shared []byte
	for i := range byte(32) {
		psk, shared = append(psk, i), append(shared, 100+i)
	}
	s := Schedule{crypto.SHA384, protocol.Datagram}
	transcript := s.sum([]byte("transcript"))
	early := s.Early(psk)
	handshake := early.Handshake(shared)
	master := handshake.Master()
	client := master.ClientTraffic(transcript)
	key := client.Key(suite.ByID(suite.TLS_AES_256_GCM_SHA384))

	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"ext binder", early.BinderExternal().Finished(transcript), "19be5c5ae8289df33e7700e4ee52e30c71e444e7d4eac6283619628fce4062df07b69296f9b2b791bb5f3586faf258ee"},
		{"res binder", early.BinderResumption().Finished(transcript), "fdedd4acac984a27d6df85835939be35eb09a4d291fd3e28a2d4a603c037e38ef137e0edb1b009022de796346bbe3270"},
		{"c e traffic", early.ClientTraffic(transcript).Bytes(), "8b427028ad1b5c6ff763ce9d19d8bee635c2574b13ba950ca9c3d91d5a3c51eada1e7d1c9177e6b86e086e8c8382d4b4"},
		{"e exp master", early.Exporter(transcript).Bytes(), "25352ef7575d5fb35a7f672d48c5706b8ece9da8c8cc3237262b56ac3fdf3785581813af7f4eb899e7cef4469096390c"},
		{"c hs traffic", handshake.ClientTraffic(transcript).Bytes(), "8d579f9ab5b64480db219c45e484fe7f1324b2ee70e83baa766ff96fbf6fc6d73478cba515483485749d2becd2265c76"},
		{"s hs traffic", handshake.ServerTraffic(transcript).Bytes(), "2ab4f139e7bbf6e0d7f7b04d885b758b8009d1e858721796acfb96e8d0b9776ae77a2598fef79b14e9957ffc90c4d5ae"},
		{"finished", handshake.ClientTraffic(transcript).Finished(transcript), "17f3d5984ea87fddb5709c51111cbc9763fa4d24d193fa81ffc7f7cd1356a8235291837911c503225190a49b603fefce"},
		{"c ap traffic", client.Bytes(), "ae9b90f5710ef9837a8e3a23da12125df0792838f8c00972f70fe9a5040ee11a54f2c4d960a8d1ba1506157bbbb5bdc4"},
		{"s ap traffic", master.ServerTraffic(transcript).Bytes(), "786ed8a6e28443c8056b6a75f045ec44f1bc5da05a4fd8c2bd278f33db9b92c5bd2e510effaa8c9a46a8ebe1f0c7ce48"},
		{"traffic upd", client.Next().Bytes(), "5e79a5ca42f81651c641222af1c0df387bfc0388e9155ffc8809215ef60198004c65f69278e3cc878f204478f62ec93e"},
		{"key", key.Key, "e47fb5d80f6c8f3bd0bd531d4f5feb5c9f0687d07462179a605b1879f9c04d31"},
		{"iv", key.IV, "931fe439cd2c68481680bb76"},
		{"sn", key.Number, "0b0b3b9824df6958ae8e8a6311963ab6a9c81cc6377794c69a59bca6bf140b4d"},
		{"exp master", master.Exporter(transcript).Bytes(), "15981c3649b5b7156f6ab7538b57eba899c839018da826824c5a10f03f677ebbe318f7bd0530764a0ae68620d6d60ee8"},
		{"resumption", master.Resumption(transcript).PSK([]byte{1, 2}), "87029c62270c0c39ca1347b648bc8f8b0894829fcb1612f9876abae92dfb940d0aca976ce373f5a77eb746ea073552dd"},
	} {
		expect(t, c.name, c.got, c.want)
	}
}

// RFC 9846 7.5 [1]
func TestExport13(t *testing.T) {
	master := unhex(t, "15981c3649b5b7156f6ab7538b57eba899c839018da826824c5a10f03f677ebbe318f7bd0530764a0ae68620d6d60ee8")
	s := Schedule{crypto.SHA384, protocol.Datagram}
	exporter := ExporterSecret{secret{s, master}}
	const label = "EXPERIMENTAL godwit"
	for _, c := range []struct {
		context []byte
		n       int
		want    string
	}{
		{[]byte("abc"), 100, "1b91d5a7d2d3029e95655ad9c26458b667ecb3d5d0d44528f919b9413ab9de33546e50b38fca457fa1157ebe326b6cea5d155d0db4d7165f69b86e11bb097b0ba4f982bae3886382e885691a12a9f117a792dc660d3a8acfa5b0ed54cbe8cb062c132812"},
		{nil, 32, "64e0e61af95365cfdf34aa899a4be974874d8c44c4f8a918c2314bd618dc05f0"},
		{[]byte{}, 32, "64e0e61af95365cfdf34aa899a4be974874d8c44c4f8a918c2314bd618dc05f0"},
		{nil, 0, ""},
	} {
		got, err := exporter.Export(label, c.context, c.n)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "export", got, c.want)
	}
	longest := strings.Repeat("l", 255-len("dtls13"))
	if _, err := exporter.Export(longest, nil, 255*48); err != nil {
		t.Errorf("longest label and length: %v", err)
	}
	for name, export := range map[string]func() ([]byte, error){
		"long label":      func() ([]byte, error) { return exporter.Export(longest+"l", nil, 32) },
		"long context":    func() ([]byte, error) { return exporter.Export(label, make([]byte, 1<<16), 32) },
		"negative length": func() ([]byte, error) { return exporter.Export(label, nil, -1) },
		"long length":     func() ([]byte, error) { return exporter.Export(label, nil, 255*48+1) },
	} {
		if got, err := export(); err == nil || got != nil {
			t.Errorf("%s: got %d bytes and %v, expected an error", name, len(got), err)
		}
	}
}

// A secret over datagrams is never one over a stream.
func TestTransportsSeparate(t *testing.T) {
	stream := Schedule{crypto.SHA256, protocol.Stream}.Early(nil).Handshake(nil)
	datagram := Schedule{crypto.SHA256, protocol.Datagram}.Early(nil).Handshake(nil)
	if bytes.Equal(stream.ClientTraffic(nil).Bytes(), datagram.ClientTraffic(nil).Bytes()) {
		t.Error("the same secret over both transports")
	}
}

// Deriving changes nothing: each method gives the same again.
func TestSecretsAreValues(t *testing.T) {
	traffic := Schedule{crypto.SHA256, protocol.Datagram}.Early([]byte("psk")).ClientTraffic([]byte("hash"))
	before := bytes.Clone(traffic.Bytes())
	first, second := traffic.Next(), traffic.Next()
	if !bytes.Equal(first.Bytes(), second.Bytes()) || !bytes.Equal(traffic.Bytes(), before) {
		t.Error("Next changed the secret it was called on")
	}
	if bytes.Equal(first.Bytes(), first.Next().Bytes()) {
		t.Error("Next gave the same secret again")
	}
}

func BenchmarkSchedule(b *testing.B) {
	s := Schedule{crypto.SHA256, protocol.Datagram}
	gcm := suite.ByID(suite.TLS_AES_128_GCM_SHA256)
	shared, transcript := make([]byte, 32), make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		handshake := s.Handshake(shared)
		for _, traffic := range []TrafficSecret{handshake.ClientTraffic(transcript), handshake.ServerTraffic(transcript)} {
			traffic.Key(gcm)
			traffic.Finished(transcript)
		}
		master := handshake.Master()
		master.ClientTraffic(transcript).Key(gcm)
		master.ServerTraffic(transcript).Key(gcm)
		master.Exporter(transcript)
		master.Resumption(transcript)
	}
}

// A schedule without a PSK may begin at Handshake, with any hash.
func TestHandshakeWithoutPSK(t *testing.T) {
	shared := []byte("shared")
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		for _, transport := range []protocol.Transport{protocol.Stream, protocol.Datagram} {
			s := Schedule{h, transport} // SHA-512 is no suite's
			for range 2 {
				if got, want := s.Handshake(shared).value, s.Early(nil).Handshake(shared).value; !bytes.Equal(got, want) {
					t.Errorf("%v: %x, want %x", s, got, want)
				}
			}
		}
	}
}
