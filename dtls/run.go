package dtls

import "sync"

// A run is one or more datagrams of one path, one behind the other, as a socket may
// read or write them together: all of them have size bytes, but the last may have
// less.
type run struct {
	data []byte
	size int
	path Path
}

const (
	// maxSegments is how many datagrams a run may have: the least that any system
	// takes.
	maxSegments = 64
	// maxRun is how many bytes a run may have: as many as a datagram over IPv4.
	maxRun = 65507
)

// takes reports whether another datagram of n bytes may follow.
func (r *run) takes(n int, to Path) bool {
	return r.path == to && n <= r.size && len(r.data)%r.size == 0 &&
		len(r.data)+n <= min(maxRun, maxSegments*r.size)
}

// skip leaves out the first n datagrams.
func skip(runs []run, n int) []run {
	for ; n > 0 && len(runs) > 0; n-- {
		r := &runs[0]
		if len(r.data) <= r.size {
			runs = runs[1:]
			continue
		}
		r.data = r.data[r.size:]
	}
	return runs
}

// count is how many datagrams there are.
func count(runs []run) (n int) {
	for _, r := range runs {
		n += (len(r.data) + r.size - 1) / r.size
	}
	return n
}

func sizeOf(runs []run) (n int) {
	for _, r := range runs {
		n += len(r.data)
	}
	return n
}

// An outgoing is a buffer of datagrams that are to be sent together.
type outgoing struct {
	room []byte
	n    int // bytes so far
	runs []run
}

// outgoingSize has room for a run as long as can be, in bytes.
const outgoingSize = 1 << 16

var outgoings = sync.Pool{New: func() any { return &outgoing{room: make([]byte, outgoingSize)} }}

func newOutgoing() *outgoing { return outgoings.Get().(*outgoing) }

func (o *outgoing) release() {
	o.reset()
	outgoings.Put(o)
}

func (o *outgoing) reset() { o.n, o.runs = 0, o.runs[:0] }

// free is where the next datagram is to be written.
func (o *outgoing) free() []byte { return o.room[o.n:] }

// add takes the n bytes that were written there.
func (o *outgoing) add(n int, to Path) {
	begin := o.n
	o.n += n
	if last := len(o.runs) - 1; last >= 0 && o.runs[last].takes(n, to) {
		r := &o.runs[last]
		r.data = r.data[:len(r.data)+n]
		return
	}
	o.runs = append(o.runs, run{o.room[begin:o.n], n, to})
}
