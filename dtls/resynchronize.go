package dtls

import "encoding/binary"

// Records of 1.3 have the last 16 bits of their number, or 8. RFC 9147 4.2.2 recommends
// to take them for the number closest to the next one. After a burst of more than 2^15
// lost records (2^7 with 8 bits) that is the wrong one for each that follows: nothing
// opens any more, for good. So when lostAfter in a row haven't opened, one number more is
// tried for each that doesn't: k times 2^16 (2^8) beyond the closest.
//
// The record itself says which k, by its ciphertext, which is as good as random: each of
// 16 powers of two with the same chance, and then any number up to the next. So there is
// nothing to remember, and nothing that others send makes a record of the peer's try a
// wrong one. With k from 2^n to 2^(n+1) one record in 16 * 2^n finds back, on average:
// one in 16 after 2^15 lost ones, one in 2048 after 10 million, one in 2^19 after nearly
// 2^32, the longest burst that this is for. It is never more than one for 2048 that were
// lost. Of our own records with short headers each 64th has 16 bits (see fullNumbers); 8
// bits alone are for up to 2^24.
//
// A record that doesn't open costs a copy and two attempts at most, and each of these
// counts for the integrity limit.
const lostAfter = 8

// lost reports whether the peer's numbers may have gone on without us, as only those of
// the newest epoch do.
func (r *readEpoch) lost() bool {
	return r.opener.Failed()-r.failures >= lostAfter && r.dies.IsZero() && r.opener.Spares()
}

// seek returns the number to open a record with, which has so many bytes of it: the
// closest if that opens it, or else the one further ahead.
func (r *readEpoch) seek(header, body []byte, closest uint64, bytes int) uint64 {
	p := newPacket(len(body))
	defer p.release()
	if _, err := r.opener.Open(append(p.room[:0], body...), header, closest); err == nil {
		return closest
	}
	random := uint64(binary.BigEndian.Uint32(body))
	power := uint64(1) << (random >> 28)
	return closest + (power+random%power)<<(8*bytes)
}
