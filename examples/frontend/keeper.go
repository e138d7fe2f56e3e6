package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/processing"
	"github.com/posthouse-mail/posthouse/queue"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/smtp/sender"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// keeper keeps the mail that a service has accepted and its back ends have not
// taken yet, and sends it when they are there.
type keeper struct {
	*frontend
	router *smtp.Router
	dir    string
	queue  *queuelocal.Queue
	opened chan struct{} // closed when there is the queue, and the router has it
}

func (d *door) keeper() *keeper {
	return &keeper{frontend: d.frontend, router: d.router, dir: filepath.Join(d.config.State, "queue", d.Queue), opened: make(chan struct{})}
}

// run is a service: it works the queue off until ctx ends.
func (k *keeper) run(ctx context.Context, ready func()) error {
	dir, err := k.lock(ctx, ready)
	if err != nil {
		return err
	}
	defer dir.Close()
	store, err := storagelocal.Open(dir.File("mail"), storagelocal.Options{})
	if err != nil {
		return err
	}
	q, err := queuelocal.New(store, queuelocal.Options{})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	flow, err := k.flow(store, q)
	if err == nil {
		k.queue, k.router.Queue = q, q
		close(k.opened)
		ready()
		err = flow.Run(ctx)
	}
	return errors.Join(err, q.Close(), store.Close())
}

// lock takes the queue's directory. A predecessor holds it until its sessions
// have ended, and ends them when this process is ready.
func (k *keeper) lock(ctx context.Context, ready func()) (*datadir.Dir, error) {
	dir, err := datadir.Lock(k.dir)
	if !errors.Is(err, datadir.ErrInUse) || !k.succeeds {
		return dir, err
	}
	ready()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for errors.Is(err, datadir.ErrInUse) {
		select {
		case <-tick.C:
			dir, err = datadir.Lock(k.dir)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return dir, err
}

// flow sends what is in the queue by the router, which knows where everyone
// lives: nobody lives here. What is down the router knows too, for each back end;
// no other mail of a domain waits because of one.
func (k *keeper) flow(store *storagelocal.Store, q queue.Queue) (*processing.Processor, error) {
	const atOnce = 20
	routes, err := k.config.Queue.routes()
	if err != nil {
		return nil, err
	}
	k.router.Onward = sender.New(sender.Options{Hostname: k.config.Hostname})
	return processing.New(processing.Options{
		Hostname: k.config.Hostname, Directory: directory.Chain(), Store: store, Queue: q, Sender: k.router, Router: routes,
		Schedule: k.config.Queue.schedule(), Concurrency: atOnce, PerDestination: atOnce, Cooling: -1,
		Drain: time.Duration(k.config.Drain),
	})
}

// hooks keep clients waiting for the greeting until there is a queue.
func (k *keeper) hooks() smtp.Hooks {
	return smtp.Hooks{Connect: func(ctx context.Context, _ *smtp.Session) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		select {
		case <-k.opened:
			return nil
		case <-ctx.Done():
			return mail.Errorf(421, [3]int{4, 3, 2}, "The queue is not open yet, please try again later")
		}
	}}
}

// ofQueue answers a request about a queue by its name.
func (f *frontend) ofQueue(do func(*keeper, http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := f.keepers[r.PathValue("name")]
		if k == nil {
			http.Error(w, `{"error": "there is no such queue"}`, http.StatusNotFound)
			return
		}
		select {
		case <-k.opened:
		default:
			http.Error(w, `{"error": "the queue is not open yet"}`, http.StatusServiceUnavailable)
			return
		}
		if err := do(k, w, r); err != nil {
			http.Error(w, `{"error": "the queue can't be read or changed now"}`, http.StatusServiceUnavailable)
		}
	})
}

// list writes a line in JSON for each recipient who waits.
func (k *keeper) list(w http.ResponseWriter, r *http.Request) error {
	e := json.NewEncoder(w)
	return k.queue.List(r.Context(), func(entry queue.Entry) bool { return e.Encode(entry) == nil })
}

// retry makes all that wait due now.
func (k *keeper) retry(w http.ResponseWriter, r *http.Request) error {
	n, err := k.queue.Retry(r.Context(), nil)
	if err == nil {
		fmt.Fprintf(w, "{\"recipients\": %d}\n", n)
	}
	return err
}
