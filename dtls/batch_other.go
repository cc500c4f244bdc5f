//go:build !linux

package dtls

// Other systems read and write one by one.
type (
	batching struct{}
	messages struct{}
)

func (s *socket) startBatching() bool         { return false }
func (s *socket) batches() bool               { return false }
func (s *socket) readBatch() (*batch, error)  { return nil, nil }
func (s *socket) writeBatch([]run) (sent int) { return 0 }
