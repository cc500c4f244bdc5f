package handshake

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A world is one handshake to be walked by both peers in lockstep: what holds
// in it, and who knows it when.
type world struct {
	facts Facts // what holds in the end
	// forced are the facts that can't but be false, given those before them.
	// Nobody learns them: they follow.
	forced Facts
	// told is what the client knows from the start, because it offered nothing
	// else: one version alone, no session, no ticket...
	told Facts
	// open is what ServerHello leaves open to the client although the server
	// has decided it.
	open Facts
	// asked is how often the server asks for another ClientHello.
	asked int
	// when the server decides what it is to say later.
	when moment
	// A stateless server begins after its first answer.
	stateless bool
}

type moment uint8

const (
	inWriting   moment = iota // the message that says it
	atLastHello               // as it reads the ClientHello that it does not answer with a request
	atFirstHello
)

func (w world) String() string {
	return fmt.Sprintf("[%v; client told %v; open %v; asked %d; decided %d; stateless %t]",
		w.facts, w.told, w.open, w.asked, w.when, w.stateless)
}

// offered are the facts that can be true only if the client offers them.
const offered = Resumed | Stapled | Ticket | EarlyData | ClientCID | ServerCID

// saneFacts are all sets of facts that make sense.
var saneFacts = func() (all []Facts) {
	for f := range Facts(1) << numFacts {
		if sane(f) {
			all = append(all, f)
		}
	}
	return all
}()

// worlds are all there are.
var worlds = func() (all []world) {
	var told []world
	for _, f := range saneFacts {
		for open := range leftOpen(f) {
			least, most := asks(f)
			for asked := least; asked <= most; asked++ {
				w := world{facts: f, forced: forced(f), open: open, asked: asked}
				for offers := range subsets(V13 | offered&^f&^open) {
					if w.told = offers; offers != 0 && asked < 3 { // a third time is as the second
						told = append(told, w)
					}
				}
				w.told = 0
				for w.when = range atFirstHello + 1 {
					w.stateless = false
					all = append(all, w)
					if w.stateless = asked > 0 && f&Datagram != 0; w.stateless {
						all = append(all, w)
					}
				}
			}
		}
	}
	return append(all, told...)
}()

// leftOpen yields what ServerHello may leave open: it can refuse to staple but
// can't promise to (RFC 6066 8), and a suite can promise ServerKeyExchange but
// not refuse one (RFC 4279 2).
func leftOpen(f Facts) iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		can := (KeyExchange | Stapled) &^ forced(f)
		must := can & (f&Stapled | KeyExchange&^f)
		for open := range subsets(can &^ must) {
			if !yield(open | must) {
				return
			}
		}
	}
}

// asks is how often a server may ask for another ClientHello: 1.3 once.
func asks(f Facts) (least, most int) {
	switch {
	case f&Retry == 0:
		return 0, 0
	case f&V13 != 0:
		return 1, 1
	}
	return 1, 3
}

// forced are the facts that no sane set has that agrees with f on all before.
func forced(f Facts) Facts {
	none := Facts(1<<numFacts - 1)
	for _, other := range saneFacts {
		differ := f ^ other
		none &^= other & (differ&-differ<<1 - 1) // up to the first that differs
	}
	return none
}

// subsets yields every subset of f.
func subsets(f Facts) iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		for s := f; ; s = (s - 1) & f {
			if !yield(s) || s == 0 {
				return
			}
		}
	}
}

// An exploration is what was seen of all worlds.
type exploration struct {
	used   map[route]*use
	stood  map[standing]bool
	spoken map[speech]bool
	lawful map[arrival]bool
	joint  map[joint]*walk
	ends   []ending
	path   [64]Step
}

type (
	// A route is an Edge without its Ref.
	route struct {
		from, to Step
		ifs, not Facts
	}
	// A use is what everybody knew who was certain of an edge.
	use struct {
		yes, no Facts
		in      [2]bool // 1.2, 1.3
	}
	// A standing is where somebody stands.
	standing struct {
		role  Role
		place Place
	}
	// A speech is a message and what it says: that some facts are true, and
	// some are not.
	speech struct {
		step    Step
		yes, no Facts
	}
	// An arrival is a message, and where it leads a reader who believes it.
	arrival struct {
		standing
		step Step
		then Place
	}
	// Handshakes that meet in a joint go on alike.
	joint struct {
		client, server Place
		left           int
		world          world // but for what the client was told
	}
	// An ending is a handshake that came to its end.
	ending struct {
		world world
		path  []Step
		news  bool
	}
)

// explore walks the worlds and returns the first fault that it finds.
func explore(worlds []world) (*exploration, error) {
	x := &exploration{
		used: map[route]*use{}, stood: map[standing]bool{}, spoken: map[speech]bool{},
		lawful: map[arrival]bool{}, joint: map[joint]*walk{},
	}
	for _, w := range worlds {
		if err := x.walk(w); err != nil {
			return nil, fmt.Errorf("%v: %w", w, err)
		}
	}
	for _, edges := range after {
		for _, e := range edges {
			if x.used[routeOf(e)] == nil {
				return nil, fmt.Errorf("%v -> %v is never used", e.From, e.To)
			}
		}
	}
	return x, x.overAcceptance()
}

func routeOf(e Edge) route { return route{e.From, e.To, e.If, e.Not} }

// A walk is one world being walked.
type walk struct {
	*exploration
	world  world
	client Place
	server Place
	left   int // how often the server will still ask for another ClientHello
	path   []Step
	news   bool // an edge was used in a new way
}

func (x *exploration) walk(w world) error {
	k := &walk{exploration: x, world: w, left: w.asked, path: x.path[:0]}
	k.client.Learn(Datagram, w.facts&Datagram != 0)
	k.server.Learn(Datagram, w.facts&Datagram != 0)
	k.client.Learn(w.told&w.facts, true)
	k.client.Learn(w.told&^w.facts, false)
	if w.stateless {
		if err := k.enter(); err != nil {
			return err
		}
	}
	known, err := k.handshake()
	if known || err != nil {
		return err
	}
	if law := broken(w.facts, w.asked, k.path); law != "" {
		return fmt.Errorf("%s: %v", law, k.path)
	}
	end := ending{world: w, path: slices.Clone(k.path)}
	err = k.afterwards()
	end.news = k.news
	x.ends = append(x.ends, end)
	return err
}

// enter has a Listener ask for another ClientHello before there is a server.
func (k *walk) enter() error {
	answer := HelloVerifyRequest
	if k.world.facts&V13 != 0 {
		answer = HelloRetryRequest
	}
	e, n := k.client.Write()
	if n != 1 || e.To != ClientHello {
		return fmt.Errorf("a client begins with %v", e.To)
	}
	k.client.Move(e)
	if err := k.arrive(Client, answer); err != nil {
		return err
	}
	k.server = EntryPlace(answer)
	k.left--
	k.path = append(k.path, ClientHello, answer)
	return nil
}

// handshake walks until both are at Open, or where somebody has been before.
func (k *walk) handshake() (known bool, err error) {
	for {
		k.open(Client)
		k.open(Server)
		if k.client.At == Open && k.server.At == Open {
			return false, nil
		}
		at := joint{k.client, k.server, k.left, k.world}
		at.world.told = 0
		if before := k.joint[at]; before == k {
			return false, fmt.Errorf("in a circle after %v", k.path)
		} else if before != nil {
			return true, nil
		}
		k.joint[at] = k
		toServer, n := k.client.Write()
		toClient, m := k.server.Write()
		clients := n == 1 && toServer.To.Writer() == Client
		servers := m == 1 && toClient.To.Writer() == Server
		switch {
		case n > 1 || m > 1:
			return false, fmt.Errorf("%d certain edges from %v, %d from %v", n, k.client.At, m, k.server.At)
		case clients && servers:
			return false, fmt.Errorf("both write: %v and %v", toServer.To, toClient.To)
		case clients:
			err = k.send(toServer)
		case servers:
			err = k.send(toClient)
		default:
			err = fmt.Errorf("stuck: client at %v, server at %v", k.client.At, k.server.At)
		}
		if err == nil && len(k.path) == cap(k.path) {
			err = fmt.Errorf("no end")
		}
		if err != nil {
			return false, err
		}
	}
}

// open crosses Open, which needs no message.
func (k *walk) open(r Role) {
	p := k.place(r)
	if e, n := p.Write(); n == 1 && e.To == Open {
		k.uses(e, *p)
		p.Move(e)
	}
	k.stood[standing{r, *p}] = true
}

func (k *walk) place(r Role) *Place {
	if r == Client {
		return &k.client
	}
	return &k.server
}

// uses notes that somebody was certain of e.
func (k *walk) uses(e Edge, p Place) {
	u := k.used[routeOf(e)]
	if u == nil {
		u = &use{yes: ^Facts(0), no: ^Facts(0)}
		k.used[routeOf(e)] = u
	}
	before := *u
	u.yes &= p.Known & p.Value
	u.no &= p.Known &^ p.Value
	u.in[k.world.facts&V13] = true
	k.news = k.news || *u != before
}

// learn tells p what holds of f, unless it follows.
func (k *walk) learn(p *Place, f Facts) {
	f &^= k.world.forced
	p.Learn(f&k.world.facts, true)
	p.Learn(f&^k.world.facts, false)
}

// decides has the server decide what is due at a step, and at a ClientHello
// what else it decides there.
func (k *walk) decides(s Step) {
	decides := steps[s].Decides
	if decides&Retry != 0 {
		k.server.Learn(Retry, k.left > 0)
		if k.world.when == atFirstHello || k.world.when == atLastHello && k.left == 0 {
			decides |= steps[ServerHello].Says | steps[ServerHello].Decides | steps[EncryptedExtensions].Says
		}
	}
	k.learn(&k.server, decides&^Retry)
}

// send writes a step, and has the other side read it.
func (k *walk) send(e Edge) error {
	from := k.place(e.To.Writer())
	k.uses(e, *from)
	k.learn(from, steps[e.To].Says)
	if e.To.Writer() == Server {
		k.decides(e.To)
	}
	if !from.Move(e) {
		return fmt.Errorf("%v can't be written at %v", e.To, from.At)
	}
	if e.To == HelloVerifyRequest || e.To == HelloRetryRequest {
		k.left--
		if from.Is(Datagram) && k.world.when != atFirstHello && *from != EntryPlace(e.To) {
			return fmt.Errorf("EntryPlace(%v) is %+v, but a server with state stands at %+v", e.To, EntryPlace(e.To), *from)
		}
	}
	k.path = append(k.path, e.To)
	return k.arrive(e.To.Writer().Peer(), e.To)
}

// arrive has r read a step.
func (k *walk) arrive(r Role, s Step) error {
	p := k.place(r)
	says := steps[s].Says &^ k.world.open
	words := speech{s, says & k.world.facts, says &^ k.world.facts}
	k.spoken[words] = true
	k.stood[standing{r, *p}] = true
	then, ok := believe(*p, words)
	if !ok {
		return fmt.Errorf("%v was written and is refused at %v", s, p.At)
	}
	k.lawful[arrival{standing{r, *p}, s, then}] = true
	e, _ := p.Read(s)
	k.learn(p, says)
	if r == Server {
		k.decides(s)
	}
	if !p.Move(e) {
		return fmt.Errorf("%v was written and is not believed at %v", s, p.At)
	}
	k.stood[standing{r, *p}] = true
	return nil
}

// believe is where a reader at p goes when it hears these words, if it does.
func believe(p Place, words speech) (then Place, ok bool) {
	e, ok := p.Read(words.step)
	p.Learn(words.yes, true)
	p.Learn(words.no, false)
	return p, ok && p.Move(e)
}

// afterwards sends each message that may follow the handshake, once.
func (k *walk) afterwards() error {
	for s := Open + 1; s < numSteps; s++ {
		client, server := k.client, k.server
		if _, n := client.Write(); n != 0 {
			return fmt.Errorf("a client writes at Open what is not due")
		}
		if _, n := server.Write(); n != 0 {
			return fmt.Errorf("a server writes at Open what is not due")
		}
		e, ok := k.place(s.Writer()).Due(s)
		if lawful := mayFollow(k.world.facts, s); ok != lawful {
			return fmt.Errorf("%v after the handshake: %t, want %t", s, ok, lawful)
		}
		if !ok {
			continue
		}
		if err := k.send(e); err != nil {
			return err
		}
		k.open(Client)
		k.open(Server)
		if k.client != client || k.server != server {
			return fmt.Errorf("%v changes where the peers stand", s)
		}
	}
	return nil
}

// overAcceptance looks for somebody who accepts what no lawful peer would write
// to him there, or says.
func (x *exploration) overAcceptance() error {
	for at := range x.stood {
		var may [numSteps]bool
		for s := range numSteps {
			n := 0
			for i := range after[at.place.At] {
				if e := &after[at.place.At][i]; e.To == s && at.place.possible(e) {
					n++
				}
			}
			if n > 1 {
				return fmt.Errorf("%v at %+v: %d edges may bring %v", at.role, at.place, n, s)
			}
			_, may[s] = at.place.Read(s)
		}
		for words := range x.spoken {
			if !may[words.step] || words.step.Writer() == at.role {
				continue // no message of a peer is classified as one of our own
			}
			if then, ok := believe(at.place, words); ok && !x.lawful[arrival{at, words.step, then}] {
				return fmt.Errorf("%v at %+v would accept %v that says yes to %v, no to %v",
					at.role, at.place, words.step, words.yes, words.no)
			}
		}
	}
	return nil
}

// RFC 9846 4 [1], 4.4.2 [7, 8], 4.5.1 [2], 4.5.2 [2], F.1 [1]
func TestEveryHandshake(t *testing.T) {
	x, err := explore(worlds)
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[string]bool{}
	for _, e := range x.ends {
		distinct[fmt.Sprint(e.path)] = true
	}
	t.Logf("%d edges, %d worlds, %d endings of %d kinds, %d places, %d arrivals",
		len(Graph), len(worlds), len(x.ends), len(distinct), len(x.stood), len(x.lawful))
}

// TestClassify names what arrives: each lawful message is the step that it is,
// and nothing that a peer sends is a step that only we write.
//
// RFC 9846 4.2.3 [11], 4.6 [3]
func TestClassify(t *testing.T) {
	x, err := explore(worlds)
	if err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, 80)
	retry := slices.Concat([]byte{3, 3}, message.HelloRetryRandom[:], make([]byte, 40))
	for a := range x.lawful {
		body := hello
		if a.step == HelloRetryRequest {
			body = retry
		}
		got := a.place.Classify(a.step.Type(), body, a.step.Writer())
		if a.step.Type() == 0 {
			got = a.step.Writer().ChangeCipherSpec()
		}
		if got != a.step {
			t.Errorf("%v at %+v: classified as %v, want %v", a.role, a.place, got, a.step)
		}
		if a.step.Type() == protocol.Certificate {
			want := Start
			if a.place.Is(V13) {
				want = a.step
			}
			if got := a.place.Classify(protocol.CompressedCertificate, nil, a.step.Writer()); got != want {
				t.Errorf("CompressedCertificate at %+v: classified as %v, want %v", a.place, got, want)
			}
		}
	}
	for at := range x.stood {
		for kind := range 256 {
			for _, body := range [][]byte{nil, hello, retry, retry[:33]} {
				s := at.place.Classify(protocol.HandshakeType(kind), body, at.role.Peer())
				if s != Start && s.Writer() != at.role.Peer() {
					t.Fatalf("%v at %+v: type %d is classified as its own %v", at.role, at.place, kind, s)
				}
				if _, ok := at.place.Read(s); s == Start && ok {
					t.Fatalf("%+v accepts no step", at.place)
				}
			}
		}
		if s := at.role.Peer().ChangeCipherSpec(); s.Writer() != at.role.Peer() {
			t.Fatalf("the %v's ChangeCipherSpec is classified as %v", at.role.Peer(), s)
		}
	}
}

func TestStepTable(t *testing.T) {
	names := map[string]bool{}
	for s := range numSteps {
		row := steps[s]
		if row.Name == "" || names[row.Name] {
			t.Errorf("step %d: name %q is empty or not its own", s, row.Name)
		}
		names[row.Name] = true
		if silent := s == Start || s == Open; silent != (row.Writer == Nobody) {
			t.Errorf("%v is written by %v", s, row.Writer)
		}
		// RFC 6347 4.2.1, RFC 5246 7.4.9 and RFC 9846 4.1.
		transcribed := row.Type != 0 && s != HelloVerifyRequest && s < Open
		if row.Transcribed != transcribed {
			t.Errorf("%v: transcribed %t, want %t", s, row.Transcribed, transcribed)
		}
		empty := s == Start || s == Open || s == ServerHelloDone || s == EndOfEarlyData
		if empty != (row.MaxBody == 0) {
			t.Errorf("%v: at most %d bytes", s, row.MaxBody)
		}
	}
	for _, e := range Graph {
		if !strings.HasPrefix(e.Ref, "RFC ") {
			t.Errorf("%v -> %v names no RFC", e.From, e.To)
		}
	}
}

func TestNeedsAreInOrder(t *testing.T) {
	var later Facts
	for _, n := range slices.Backward(needs) {
		later |= n.Fact
		if (n.If|n.Not)&later != 0 {
			t.Errorf("%v needs something of %v, which comes later", n.Fact, later)
		}
	}
}

func TestFactsString(t *testing.T) {
	for f, want := range map[Facts]string{0: "", V13: "V13", V13 | Resumed | Due: "V13+Resumed+Due"} {
		if got := f.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPlaceDoesNotAllocate(t *testing.T) {
	allocs := testing.AllocsPerRun(100, func() {
		p := EntryPlace(HelloRetryRequest)
		e, _ := p.Read(p.Classify(protocol.ClientHello, nil, Client))
		p.Learn(Retry, false)
		p.Move(e)
		p.Write()
		p.Due(ClientKeyUpdate)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
