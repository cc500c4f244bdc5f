package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/redis/go-redis/v9"
)

var _ dtls.Store = Redis{}

// Redis keeps each value in a hash of Redis, for processes on several machines. The
// comparison and the writing are one script, which Redis runs as one step.
//
// Warning: what Redis has acknowledged must outlive it, or record numbers may be used
// twice. With "appendfsync always" it does; with "everysec", the default of an
// append-only file, up to a second of it is gone when the machine of Redis fails, and
// with replicas whatever a failover loses.
type Redis struct {
	Client redis.UniversalClient
	Prefix string // of all keys
}

// Load reads one hash.
func (r Redis) Load(ctx context.Context, name string) (value []byte, generation uint64, err error) {
	fields, err := r.Client.HMGet(ctx, r.Prefix+name, "generation", "value").Result()
	if err != nil || fields[0] == nil {
		return nil, 0, err
	}
	said, _ := fields[0].(string)
	stored, _ := fields[1].(string)
	generation, err = strconv.ParseUint(said, 16, 64)
	return []byte(stored), generation, err
}

// swap compares and writes. Generations are strings, as Lua's numbers are too short.
var swap = redis.NewScript(`
if (redis.call('HGET', KEYS[1], 'generation') or '0') ~= ARGV[1] then
	return 0
end
if ARGV[2] == '0' then
	redis.call('DEL', KEYS[1])
else
	redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'value', ARGV[3])
end
return 1
`)

// Swap replaces one hash, if it still has the generation old.
func (r Redis) Swap(ctx context.Context, name string, old uint64, value []byte) (generation uint64, err error) {
	if value != nil {
		generation = newGeneration()
	}
	hexed := func(n uint64) string { return strconv.FormatUint(n, 16) }
	done, err := swap.Run(ctx, r.Client, []string{r.Prefix + name}, hexed(old), hexed(generation), value).Int()
	switch {
	case err != nil:
		return 0, fmt.Errorf("store: Redis: %w", err)
	case done == 0:
		return 0, fmt.Errorf("store: %w", dtls.ErrGeneration)
	}
	return generation, nil
}
