// Command pop3server serves the files named on its command line as mail, by
// POP3, to one user:
//
//	go run ./examples/pop3server -user alice -password secret message.eml …
//
// What a client deletes is back after the next start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:2110", "address to listen on")
	user, password := flag.String("user", "alice", "name of the user"), flag.String("password", "secret", "his password")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, *user, *password, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, user, password string, files []string) error {
	store := memory.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		to := []storage.Target{{User: user}}
		if _, err := store.Deliver(ctx, &storage.Delivery{Body: message.FromBytes(content), Targets: to}); err != nil {
			return err
		}
	}
	// Only the hash of the password is kept; the throttle slows guessing down.
	hash, err := auth.HashPassword(password)
	if err != nil {
		return err
	}
	check := auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
		ok, err := auth.VerifyPasswordContext(ctx, hash, c.Password)
		switch {
		case err != nil:
			return auth.Identity{}, err
		case !ok || c.User != user:
			return auth.Identity{}, auth.ErrBadCredentials
		}
		return auth.Identity{User: user}, nil
	})
	server := &pop3.Server{
		Store:     store,
		Auth:      auth.NewThrottle(check, auth.ThrottleOptions{}),
		PlainAuth: netip.Addr.IsLoopback, // without TLS, passwords from this machine only
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("%d messages of %s at %s\n", len(files), user, l.Addr())
	if err := server.Serve(ctx, l); !errors.Is(err, pop3.ErrServerClosed) {
		return err
	}
	return server.Close()
}
