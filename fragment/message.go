package fragment

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// A message is a handshake message that is being put together.
type message struct {
	kind    uint8
	length  int
	missing int           // bytes that did not come yet
	pages   map[int]*page // by offset/pageSize, while bytes are missing
	body    []byte        // once none is
}

func (m *message) whole() bool { return m.missing == 0 }

// compare fails with ErrMismatch if a fragment can't be of the message m.
func (m *message) compare(h Header, b []byte) error {
	if h.Type != m.kind || h.Length != m.length {
		return fmt.Errorf("%w: message %d was of type %d with %d bytes, is of type %d with %d",
			ErrMismatch, h.Seq, m.kind, m.length, h.Type, h.Length)
	}
	if !m.agrees(h.Offset, b) {
		return fmt.Errorf("%w: bytes of message %d changed", ErrMismatch, h.Seq)
	}
	return nil
}

func (m *message) agrees(offset int, b []byte) bool {
	if m.whole() {
		return bytes.Equal(m.body[offset:offset+len(b)], b)
	}
	for at, piece := range pieces(offset, b) {
		if p := m.pages[at/pageSize]; p != nil && !p.agrees(at%pageSize, piece) {
			return false
		}
	}
	return true
}

// growth returns by how many bytes the message would at most be larger after
// write. One that comes in one piece replaces its pages.
func (m *message) growth(offset int, b []byte) (size int) {
	switch {
	case m.whole():
		return 0
	case len(b) == m.length:
		return m.length - pageSize*len(m.pages)
	}
	for at := range pieces(offset, b) {
		if m.pages[at/pageSize] == nil {
			size += pageSize
		}
	}
	return size
}

// write takes the bytes of b that are new.
func (m *message) write(offset int, b []byte) {
	switch {
	case m.whole():
		return
	case len(b) == m.length:
		m.finish(bytes.Clone(b))
		return
	}
	for at, piece := range pieces(offset, b) {
		m.missing -= m.page(at/pageSize).write(at%pageSize, piece)
	}
	if m.whole() {
		m.finish(m.join())
	}
}

// runs are the bytes that came, in order: each run with its offset.
func (m *message) runs() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		if m.whole() {
			yield(0, m.body)
			return
		}
		for _, number := range slices.Sorted(maps.Keys(m.pages)) {
			p := m.pages[number]
			for from := 0; from < pageSize; from++ {
				to := from
				for to < pageSize && p.has(to) {
					to++
				}
				if to > from && !yield(number*pageSize+from, p.data[from:to]) {
					return
				}
				from = max(from, to)
			}
		}
	}
}

func (m *message) finish(body []byte) { m.body, m.missing, m.pages = body, 0, nil }

func (m *message) page(number int) *page {
	if m.pages == nil {
		m.pages = map[int]*page{}
	}
	p := m.pages[number]
	if p == nil {
		p = new(page)
		m.pages[number] = p
	}
	return p
}

// join returns the body that the pages, which are all there, make up.
func (m *message) join() []byte {
	body := make([]byte, m.length)
	for number, p := range m.pages {
		copy(body[number*pageSize:], p.data[:])
	}
	return body
}

const pageSize = 256

// A page holds the bytes of a message from a multiple of pageSize on.
type page struct {
	present [pageSize / 64]uint64 // a bit for each byte that came
	data    [pageSize]byte
}

func (p *page) has(at int) bool { return p.present[at/64]>>(at%64)&1 != 0 }

// agrees reports whether the bytes of b that came before were the same.
func (p *page) agrees(at int, b []byte) bool {
	for i, c := range b {
		if p.has(at+i) && p.data[at+i] != c {
			return false
		}
	}
	return true
}

// write takes b, which agrees, and returns how many of its bytes are new.
func (p *page) write(at int, b []byte) (fresh int) {
	copy(p.data[at:], b)
	for i := at; i < at+len(b); i++ {
		if !p.has(i) {
			p.present[i/64] |= 1 << (i % 64)
			fresh++
		}
	}
	return fresh
}

// pieces cuts the bytes b, which start at offset, where pages meet. It yields
// each piece with its offset.
func pieces(offset int, b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for len(b) > 0 {
			n := min(len(b), pageSize-offset%pageSize)
			if !yield(offset, b[:n]) {
				return
			}
			offset, b = offset+n, b[n:]
		}
	}
}

// roundUp rounds n bytes up to whole pages.
func roundUp(n int) int { return (n + pageSize - 1) / pageSize * pageSize }
