// A node of golang/groupcache as a Go program usually is one: the pool with all its defaults, registered in the default
// ServeMux, and a front door beside it. It is what gaggle-node is tested against, and what it replaces.
//
// The pool's own port answers peers. The port of -api answers:
//
//	GET  /api?key=K    the value; 404 if the origin has no such key, 500 if the load failed
//	GET  /owner?key=K  the base URL of the key's owner
//	GET  /stats        groupcache's counters, as JSON
//	POST /peers        the new list of base URLs, with commas between them
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"

	"github.com/golang/groupcache"
)

var errNotFound = errors.New("not found")

func main() {
	addr := flag.String("addr", "127.0.0.1:8001", "where peers reach this node")
	self := flag.String("self", "", "the base URL that peers use for it (default http:// and the address)")
	peers := flag.String("peers", "", "the base URLs of all nodes, with commas between them, this one included")
	api := flag.String("api", "127.0.0.1:9999", "where programs reach it")
	origin := flag.String("origin", "http://127.0.0.1:7000/", "the URL that a percent-encoded key is appended to")
	name := flag.String("group", "scores", "the name of the group")
	cache := flag.Int64("cache", 64<<20, "the size of the cache, in bytes")
	flag.Parse()
	if *self == "" {
		*self = "http://" + *addr
	}

	pool := groupcache.NewHTTPPool(*self)
	pool.Set(list(*peers, *self)...)
	group := groupcache.NewGroup(*name, *cache, loader(*origin))

	front := http.NewServeMux()
	front.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) { get(group, w, r) })
	front.HandleFunc("/owner", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, owner(pool, *self, r.URL.Query().Get("key")))
	})
	front.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(&group.Stats)
	})
	front.HandleFunc("/peers", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil || r.Method != http.MethodPost {
			http.Error(w, "expected a POST of base URLs", http.StatusBadRequest)
			return
		}
		pool.Set(list(string(body), *self)...)
	})

	peerListener, apiListener := listen(*addr), listen(*api)
	json.NewEncoder(os.Stderr).Encode(map[string]string{
		"message": "listening",
		"peer":    peerListener.Addr().String(),
		"api":     apiListener.Addr().String(),
	})
	go func() { log.Fatal(http.Serve(apiListener, front)) }()
	log.Fatal(http.Serve(peerListener, nil))
}

func list(peers, self string) []string {
	peers = strings.TrimSpace(peers)
	if peers == "" {
		return []string{self}
	}
	return strings.Split(peers, ",")
}

func listen(addr string) net.Listener {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// loader asks the origin: 200 is the value, 404 says that there is no such key.
func loader(origin string) groupcache.GetterFunc {
	return func(ctx context.Context, key string, dest groupcache.Sink) error {
		// QueryEscape with a space as %20: right in a path and in a query.
		target := origin + strings.ReplaceAll(url.QueryEscape(key), "+", "%20")
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusOK:
		case http.StatusNotFound:
			return errNotFound
		default:
			return fmt.Errorf("the origin answered %s", answer.Status)
		}
		value, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		return dest.SetBytes(value)
	}
}

func get(group *groupcache.Group, w http.ResponseWriter, r *http.Request) {
	var value []byte
	err := group.Get(r.Context(), r.URL.Query().Get("key"), groupcache.AllocatingByteSliceSink(&value))
	switch {
	case errors.Is(err, errNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(value)
	}
}

// owner tells whom the pool itself picks. PickPeer returns a client that does not say whose it is, so this looks into it;
// a ring of our own making would only prove that we can count.
func owner(pool *groupcache.HTTPPool, self, key string) string {
	peer, ok := pool.PickPeer(key)
	if !ok {
		return self
	}
	base := reflect.ValueOf(peer).Elem().FieldByName("baseURL").String()
	return strings.TrimSuffix(base, "/_groupcache/")
}
