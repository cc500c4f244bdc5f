package dtls

import "sync"

// What a Listener sends. While it takes a batch, what answers the datagrams of that is
// collected, and leaves together when all of them are handled.

// replies are what is to be sent while a batch is taken: it leaves together.
type replies struct {
	mu        sync.Mutex
	out       *outgoing // nil while there are none
	collected bool
}

// collectReplies begins to collect, until sendReplies.
func (l *Listener) collectReplies() {
	l.replies.mu.Lock()
	defer l.replies.mu.Unlock()
	l.replies.collected = true
}

func (l *Listener) sendReplies() {
	l.replies.mu.Lock()
	defer l.replies.mu.Unlock()
	l.replies.collected = false
	l.sendCollected()
}

// closeSocket sends what was collected, and closes the socket.
func (l *Listener) closeSocket() {
	l.replies.mu.Lock()
	defer l.replies.mu.Unlock()
	l.sendCollected()
	l.socket.close()
}

// sendCollected sends what there is. What can't be sent is lost.
func (l *Listener) sendCollected() {
	out := l.replies.out
	if out == nil {
		return
	}
	rest, err := l.sendRuns(out.runs)
	for err != nil && transient(err) {
		rest, err = l.sendRuns(skip(rest, 1))
	}
	l.replies.out = nil
	out.release()
}

// reply sends a datagram, with others if a batch is taken.
func (l *Listener) reply(b []byte, to Path) error {
	if l.collect(b, to) {
		return nil
	}
	return l.send(b, to)
}

// collect keeps a copy of a datagram until the batch is handled, if one is taken.
func (l *Listener) collect(b []byte, to Path) bool {
	r := &l.replies
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.collected || len(b) == 0 || len(b) > outgoingSize {
		return false
	}
	if r.out != nil && len(r.out.free()) < len(b) {
		l.sendCollected()
	}
	if r.out == nil {
		r.out = newOutgoing()
	}
	r.out.add(copy(r.out.free(), b), to)
	return true
}

// replyRuns is reply for runs.
func (l *Listener) replyRuns(runs []run) (rest []run, err error) {
	for ; len(runs) > 0; runs = skip(runs, 1) {
		r := &runs[0]
		if !l.collect(r.data[:min(r.size, len(r.data))], r.path) {
			return l.sendRuns(runs)
		}
	}
	return nil, nil
}

// send sends a datagram and counts it.
func (l *Listener) send(datagram []byte, to Path) error {
	l.stats.datagramsSent.Add(1)
	l.stats.bytesSent.Add(uint64(len(datagram)))
	return l.socket.write(datagram, to)
}

// sendRuns sends runs until a datagram can't be sent, and returns what is left.
func (l *Listener) sendRuns(runs []run) (rest []run, err error) {
	datagrams, bytes := count(runs), sizeOf(runs)
	rest, err = l.socket.send(runs)
	l.stats.datagramsSent.Add(uint64(datagrams - count(rest)))
	l.stats.bytesSent.Add(uint64(bytes - sizeOf(rest)))
	return rest, err
}
