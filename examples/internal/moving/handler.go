// Package moving is what an operator does to move an account from one back end
// to another: the operations, as an HTTP handler of the process that has the
// store open, and the commands that ask for them.
package moving

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// Handler answers the commands under the path /moving.
type Handler struct {
	Store    *storagelocal.Store
	SpoolDir string // for large messages while they arrive; empty: os.TempDir

	// Name returns under which name the store has the account that an operator
	// names, also of one who does not live here any more, or not yet.
	Name func(ctx context.Context, name string) (string, error)

	// Forget is called when logins of a user that were good need not be any
	// more; nil: nobody remembers them.
	Forget func(user string)
}

// failed is the trailer that says why an archive is not whole.
const failed = "Posthouse-Failed"

// ServeHTTP answers a command.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(http.ResponseWriter, *http.Request, string) error{
		"GET /moving":                   h.list,
		"POST /moving/{name}/freeze":    h.freeze,
		"POST /moving/{name}/thaw":      h.thaw,
		"POST /moving/{name}/drop":      h.drop,
		"GET /moving/{name}/archive":    h.pack,
		"POST /moving/{name}/archive":   h.unpack,
		"GET /moving/{name}/arrived":    h.arrived,
		"DELETE /moving/{name}/arrived": h.forget,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			user, err := "", error(nil)
			if name := r.PathValue("name"); name != "" {
				user, err = h.Name(r.Context(), name)
			}
			if err == nil {
				err = f(w, r, user)
			}
			if err != nil {
				http.Error(w, err.Error(), statusOf(err))
			}
		})
	}
	mux.ServeHTTP(w, r)
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, storage.ErrNoMailbox):
		return http.StatusNotFound
	case errors.Is(err, storagelocal.ErrAccountExists), errors.Is(err, storagelocal.ErrBusy), errors.Is(err, storagelocal.ErrOtherArchive), errors.Is(err, errNotFrozen):
		return http.StatusConflict
	case errors.Is(err, storagelocal.ErrBadArchive), errors.Is(err, errBadRequest):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

var (
	errBadRequest = errors.New("bad request")
	errNotFrozen  = errors.New("the account is not frozen: only what was given away is dropped")
)

func (h *Handler) list(w http.ResponseWriter, r *http.Request, _ string) error {
	users, err := h.Store.Frozen(r.Context())
	for _, user := range users {
		fmt.Fprintln(w, user)
	}
	return err
}

func (h *Handler) freeze(_ http.ResponseWriter, r *http.Request, user string) error {
	return h.Store.Freeze(r.Context(), user)
}

func (h *Handler) thaw(_ http.ResponseWriter, r *http.Request, user string) error {
	return h.Store.Thaw(r.Context(), user)
}

// drop removes the mail of an account that was given away.
func (h *Handler) drop(_ http.ResponseWriter, r *http.Request, user string) error {
	users, err := h.Store.Frozen(r.Context())
	if err != nil {
		return err
	}
	for _, u := range users {
		if u == user {
			return h.Store.RemoveAccount(r.Context(), user)
		}
	}
	return errNotFrozen
}

// pack answers an archive. A trailer says when it is not whole, which whoever
// reads it also sees from itself.
func (h *Handler) pack(w http.ResponseWriter, r *http.Request, user string) error {
	o := storagelocal.PackOptions{Since: r.FormValue("since")}
	switch r.FormValue("part") {
	case "":
	case "bodies":
		o.Part = storagelocal.Bodies
	default:
		return fmt.Errorf("%w: no such part of an account", errBadRequest)
	}
	counted := &countingWriter{ResponseWriter: w}
	_, err := h.Store.Pack(r.Context(), user, counted, o)
	if err != nil && counted.n == 0 {
		return err
	}
	if err != nil {
		w.Header().Set(http.TrailerPrefix+failed, err.Error())
	}
	return nil
}

// countingWriter knows whether an answer has begun.
type countingWriter struct {
	http.ResponseWriter
	n int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

func (h *Handler) unpack(w http.ResponseWriter, r *http.Request, user string) error {
	o := storagelocal.UnpackOptions{Replace: r.FormValue("replace") != "", SpoolDir: h.SpoolDir}
	got, err := h.Store.Unpack(r.Context(), user, r.Body, o)
	switch {
	case err != nil:
		return err
	case !got.Whole:
		fmt.Fprintf(w, "%d bodies have arrived; go on with: pack -since %s %s\n", got.Bodies, got.State, user)
		return nil
	}
	fmt.Fprintf(w, "%s is here: %d mailboxes, %d messages, %d bodies new\n", user, got.Mailboxes, got.Messages, got.Bodies)
	if got.Renamed > 0 {
		fmt.Fprintf(w, "%d mailboxes have another MAILBOXID than before\n", got.Renamed)
	}
	return nil
}

func (h *Handler) arrived(w http.ResponseWriter, r *http.Request, user string) error {
	state, err := h.Store.Arrived(r.Context(), user)
	if err == nil && state != "" {
		fmt.Fprintln(w, state)
	}
	return err
}

func (h *Handler) forget(_ http.ResponseWriter, r *http.Request, user string) error {
	return h.Store.ForgetArrived(r.Context(), user)
}
