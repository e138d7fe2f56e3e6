package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	"github.com/posthouse-mail/posthouse/server"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// backend is an open data directory, and who there is.
type backend struct {
	config      *Config
	data        string
	certificate *server.Certificate
	directory   directory.Directory
	logins      auth.Authenticator
	store       *storagelocal.Store
	queue       *queuelocal.Queue
	closers     []io.Closer // in the order of opening
}

// open opens everything, or what it can until an error; close closes it.
func (b *backend) open(ctx context.Context, out io.Writer) error {
	if err := os.MkdirAll(b.file("spool"), 0o700); err != nil {
		return err
	}
	var err error
	if b.certificate, err = b.config.TLS.Open(b.data, b.config.Hostname, b.config.Address); err != nil {
		return err
	}
	if b.store, err = storagelocal.Open(b.file("mail"), storagelocal.Options{}); err != nil {
		return fmt.Errorf("mail store: %w", err)
	}
	b.closers = append(b.closers, b.store)
	if b.queue, err = queuelocal.New(b.store, queuelocal.Options{}); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	b.closers = append(b.closers, b.queue)
	users := b.ownAccounts
	if b.config.LDAP != nil {
		users = b.accountsOfLDAP
	}
	checked, err := users(ctx, out)
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	// Many users come from one front end: what they fail counts against
	// themselves. Whose client has been told is counted by its own address.
	b.logins = auth.NewThrottle(auth.NewCache(checked, auth.CacheOptions{}), auth.ThrottleOptions{Trusted: b.config.FrontEnds.Contains})
	return nil
}

// accountsOfLDAP takes everybody from the directory of the cluster.
func (b *backend) accountsOfLDAP(context.Context, io.Writer) (auth.Authenticator, error) {
	connector, err := b.config.LDAP.Connector()
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, connector)
	users, err := ldapdir.New(connector, ldapdir.Options{Domains: b.config.LDAP.Domains})
	b.directory = b.config.Here(users)
	return ldapauth.New(connector, b.config.LDAP.AuthOptions()), err
}

// ownAccounts keeps accounts in the data directory. The first start makes one,
// and prints its password: once, it is kept nowhere.
func (b *backend) ownAccounts(ctx context.Context, out io.Writer) (auth.Authenticator, error) {
	accounts, err := embedded.Open(b.file("directory.jsonl"))
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, accounts)
	b.directory = accounts
	domains, err := accounts.Domains(ctx)
	if err != nil || len(domains) > 0 {
		return accountauth.New(accounts), err
	}
	password, name := rand.Text()[:16], "alice@"+b.config.Domain
	hash, secrets, err := auth.PasswordForms(password)
	if err == nil {
		err = accounts.AddDomain(ctx, b.config.Domain)
	}
	if err == nil {
		err = accounts.AddAccount(ctx, directory.Account{Name: name, Password: hash, Secrets: secrets})
	}
	if err == nil {
		fmt.Fprintf(out, "account %s password %s\n", name, password)
	}
	return accountauth.New(accounts), err
}

func (b *backend) file(name string) string { return filepath.Join(b.data, name) }

// close closes what is open, the last first: the queue is in the store's log.
func (b *backend) close() error {
	var errs []error
	for i := len(b.closers) - 1; i >= 0; i-- {
		errs = append(errs, b.closers[i].Close())
	}
	return errors.Join(errs...)
}
