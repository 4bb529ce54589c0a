// golang/groupcache in a process of its own, filled as ../main.rs fills the others. Prints what ../report.rs reads: a line
// for each phase.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/golang/groupcache"
)

const workers = 2

func main() {
	budget := flag.Int64("budget", 4<<20, "the size of the cache, in bytes")
	flag.Parse()

	group := groupcache.NewGroup("memory", *budget, groupcache.GetterFunc(
		func(_ context.Context, key string, dest groupcache.Sink) error {
			n, err := strconv.ParseUint(key[len("key-"):], 10, 64)
			if err != nil {
				return err
			}
			value := make([]byte, valueLen(key[:3], n))
			for i := range value {
				value[i] = byte('a' + n%26)
			}
			return dest.SetBytes(value)
		}))
	report("empty", group)
	for phase, prefix := range []string{"key", "mix"} {
		fill(group, prefix, 2**budget)
		report([]string{"small", "mixed"}[phase], group)
	}
}

// fill asks for keys until that many bytes of keys and values have gone in.
func fill(group *groupcache.Group, prefix string, bytes int64) {
	var keys uint64
	for bytes > 0 {
		bytes -= int64(len(key(prefix, keys)) + valueLen(prefix, keys))
		keys++
	}
	var filled sync.WaitGroup
	for worker := uint64(0); worker < workers; worker++ {
		filled.Add(1)
		go func(n uint64) {
			defer filled.Done()
			var view groupcache.ByteView
			for ; n < keys; n += workers {
				err := group.Get(context.Background(), key(prefix, n), groupcache.ByteViewSink(&view))
				if err != nil {
					log.Fatal(err)
				}
			}
		}(worker)
	}
	filled.Wait()
}

func key(prefix string, n uint64) string {
	return fmt.Sprintf("%s-%08d", prefix, n)
}

// valueLen is the same rule as in ../load.rs.
func valueLen(prefix string, n uint64) int {
	if prefix == "key" {
		return 100
	}
	n = 630 + n*0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	n ^= n >> 31
	return int(100 * math.Pow(1000, float64(n>>11)/(1<<53)))
}

// report prints a phase, the resident bytes now and at the most so far, the number of entries, and the bytes of their keys
// and values. It takes the main cache alone, as without peers there are no hot copies.
func report(phase string, group *groupcache.Group) {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	defer status.Close()
	kib := map[string]int64{}
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 {
			kib[fields[0]], _ = strconv.ParseInt(fields[1], 10, 64)
		}
	}
	held := group.CacheStats(groupcache.MainCache)
	fmt.Println(phase, kib["VmRSS:"]<<10, kib["VmHWM:"]<<10, held.Items, held.Bytes)
}
