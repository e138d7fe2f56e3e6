package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/transfer"
)

// control is the one way in which a node is administered: an HTTP handler,
// served on a socket of the data directory while the node runs, called
// directly by a command that has opened the directory itself.
type control struct {
	open     *opened
	mux      *http.ServeMux
	changing sync.Mutex // held while an access control list is read and replaced
}

func newControl(o *opened) *control {
	c := &control{open: o, mux: http.NewServeMux()}
	c.handle("GET /users", c.listUsers)
	c.handle("POST /users/{name}", c.addUser)
	c.handle("PUT /users/{name}/password", c.setPassword)
	c.handle("DELETE /users/{name}", c.removeUser)
	c.handleAddresses()
	c.handle("GET /bans", c.listBans)
	c.handle("DELETE /bans", c.liftBan)
	c.handle("GET /queue", c.listQueue)
	c.handle("GET /queue/{id}", c.showMessage)
	c.handle("POST /queue/retry", c.retry)
	c.handle("DELETE /queue/{id}", c.removeMessage)
	c.handle("GET /quota", c.listQuotas)
	c.handle("GET /quota/{name}", c.showQuota)
	c.handle("PUT /quota/{name}", c.setQuota)
	c.handle("DELETE /quota/{name}", c.resetQuota)
	c.handle("GET /mailboxes/{name}", c.listMailboxes)
	c.handle("POST /mailboxes/{name}", c.createMailbox)
	c.handle("PUT /mailboxes/{name}", c.renameMailbox)
	c.handle("DELETE /mailboxes/{name}", c.deleteMailbox)
	c.handle("GET /acl/{name}", c.showACL)
	c.handle("PUT /acl/{name}", c.setACL)
	c.handle("DELETE /acl/{name}", c.removeACL)
	c.handle("GET /rights/{name}", c.showRights)
	c.handle("POST /check", c.check)
	c.handle("GET /stats", c.stats)
	c.handle("POST /snapshot", c.snapshotData)
	c.handle("GET /retained/{name}", c.listRetained)
	c.handle("POST /retained/{name}/restore", c.restore)
	c.handle("DELETE /retained/{name}", c.discard)
	c.handle("POST /purge", c.purge)
	c.handle("POST /users/{name}/export", c.transferMail(transfer.Export, "exported"))
	c.handle("POST /users/{name}/import", c.transferMail(transfer.Import, "imported"))
	c.mux.Handle("/moving", c.moving())
	c.mux.Handle("/moving/", c.moving())
	return c
}

// ServeHTTP answers a command.
func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// handle registers an operation; its error becomes the answer's status and text.
func (c *control) handle(pattern string, f func(w http.ResponseWriter, r *http.Request) error) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			http.Error(w, err.Error(), statusOf(err))
		}
	})
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, directory.ErrUnknown), errors.Is(err, queue.ErrNotQueued), errors.Is(err, storage.ErrNoMailbox):
		return http.StatusNotFound
	case errors.Is(err, directory.ErrExists), errors.Is(err, storage.ErrMailboxExists), errors.Is(err, storage.ErrHasChildren):
		return http.StatusConflict
	case errors.Is(err, errBadRequest), errors.Is(err, directory.ErrNotLocal), errors.Is(err, mail.ErrBadAddress):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

var errBadRequest = errors.New("bad request")

func (c *control) listUsers(w http.ResponseWriter, r *http.Request) error {
	for a, err := range c.open.directory.List(r.Context()) {
		if err != nil {
			return err
		}
		state := ""
		if a.Disabled {
			state = " (disabled)"
		}
		fmt.Fprintf(w, "%s%s\n", a.Name, state)
	}
	return nil
}

func (c *control) addUser(w http.ResponseWriter, r *http.Request) error {
	hash, secrets, err := passwordForms(r)
	if err != nil {
		return err
	}
	return c.open.addAccount(r.Context(), directory.Account{Name: r.PathValue("name"), Password: hash, Secrets: secrets})
}

func (c *control) setPassword(w http.ResponseWriter, r *http.Request) error {
	name, err := c.accountName(r)
	if err != nil {
		return err
	}
	hash, secrets, err := passwordForms(r)
	if err != nil {
		return err
	}
	if err := c.open.directory.SetPasswordForms(r.Context(), name, hash, secrets); err != nil {
		return err
	}
	c.open.logins.forget(name)
	return nil
}

func (c *control) removeUser(w http.ResponseWriter, r *http.Request) error {
	name, err := c.accountName(r)
	if err != nil {
		return err
	}
	// The account first: once it is gone nothing is delivered to it any more.
	if err := c.open.directory.RemoveAccount(r.Context(), name); err != nil {
		return err
	}
	c.open.logins.forget(name)
	return c.open.store.RemoveAccount(r.Context(), name)
}

// accountName returns the name under which the account of the request is kept.
func (c *control) accountName(r *http.Request) (string, error) {
	a, err := c.open.directory.Account(r.Context(), r.PathValue("name"))
	return a.Name, err
}

func passwordForms(r *http.Request) (hash string, secrets map[string]string, err error) {
	password, err := io.ReadAll(io.LimitReader(r.Body, 4096))
	if err != nil {
		return "", nil, err
	}
	if len(password) == 0 {
		return "", nil, fmt.Errorf("%w: empty password", errBadRequest)
	}
	return auth.PasswordForms(string(password), secretScheme)
}

// listQueue answers a JSON object per recipient and line.
func (c *control) listQueue(w http.ResponseWriter, r *http.Request) error {
	e := json.NewEncoder(w)
	return c.open.queue.List(r.Context(), func(entry queue.Entry) bool { return e.Encode(entry) == nil })
}

func (c *control) showMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := messageID(r.PathValue("id"))
	if err != nil {
		return err
	}
	content, err := c.open.queue.Content(r.Context(), id)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(w, message.NewReader(content))
	return err
}

func (c *control) retry(w http.ResponseWriter, r *http.Request) error {
	var ids []queue.ID
	for _, s := range r.URL.Query()["id"] {
		id, err := messageID(s)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	n, err := c.open.queue.Retry(r.Context(), ids)
	if err == nil {
		fmt.Fprintf(w, "%d recipients are due now\n", n)
	}
	return err
}

func (c *control) removeMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := messageID(r.PathValue("id"))
	if err != nil {
		return err
	}
	n, err := c.open.queue.Remove(r.Context(), []queue.ID{id})
	if err == nil && n == 0 {
		return queue.ErrNotQueued
	}
	return err
}

func messageID(s string) (queue.ID, error) {
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is not the number of a message", errBadRequest, s)
	}
	return queue.ID(id), nil
}
