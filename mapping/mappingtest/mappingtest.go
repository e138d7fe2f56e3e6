// Package mappingtest checks that a mapping.Mapper keeps the promises of
// package mapping. Anyone's implementation can run it.
package mappingtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/posthouse-mail/posthouse/mapping"
)

// Fixture is a Mapper together with what it is known to hold.
type Fixture struct {
	Mapper mapping.Mapper
	Known  map[string]mapping.Route // some users, in small letters
	// Unknown is a user whom the Mapper does not know; empty when it knows everybody.
	Unknown string
	// Broken is a Mapper of the kind whose source can't be asked; nil when
	// there is no such thing.
	Broken mapping.Mapper
}

// Run checks a Mapper.
func Run(t *testing.T, f Fixture) {
	ctx := context.Background()
	t.Run("KnownUsersHaveTheirRoutes", func(t *testing.T) {
		for user, want := range f.Known {
			for _, spelling := range []string{user, strings.ToUpper(user)} {
				if got, err := f.Mapper.Map(ctx, spelling); err != nil || got != want {
					t.Errorf("Map(%q) = %v, %v; want %v", spelling, got, err, want)
				}
			}
		}
	})
	t.Run("RoutesLeadSomewhere", func(t *testing.T) {
		for user := range f.Known {
			if r, err := f.Mapper.Map(ctx, user); err != nil || r.Check() != nil {
				t.Errorf("Map(%q) = %v, %v, which is no route: %v", user, r, err, r.Check())
			}
		}
	})
	t.Run("AnUnknownUserIsNotMapped", func(t *testing.T) {
		if f.Unknown == "" {
			t.Skip("everybody is known")
		}
		r, err := f.Mapper.Map(ctx, f.Unknown)
		if !errors.Is(err, mapping.ErrNotMapped) || errors.Is(err, mapping.ErrUnavailable) || r != (mapping.Route{}) {
			t.Errorf("Map(%q) = %v, %v; want ErrNotMapped", f.Unknown, r, err)
		}
	})
	t.Run("A01HostileNamesAreNobody", func(t *testing.T) { hostile(t, f) })
	t.Run("ABrokenSourceIsUnavailable", func(t *testing.T) {
		if f.Broken == nil {
			t.Skip("nothing can break")
		}
		for user := range f.Known {
			_, err := f.Broken.Map(ctx, user)
			if err == nil || errors.Is(err, mapping.ErrNotMapped) {
				t.Errorf("Map(%q) with a broken source = %v; want ErrUnavailable", user, err)
			}
		}
	})
	t.Run("AnEndedContextIsNoAnswerAboutTheUser", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for user := range f.Known {
			if _, err := f.Mapper.Map(ended, user); errors.Is(err, mapping.ErrNotMapped) {
				t.Errorf("Map(%q) with an ended context = %v", user, err)
			}
		}
	})
	t.Run("LookupsMayComeFromManyGoroutines", func(t *testing.T) { together(t, f) })
}

func hostile(t *testing.T, f Fixture) {
	for _, user := range []string{
		"", "\x00", "a\x00b@example.test", "a\r\nb@example.test", "\xff\xfe", strings.Repeat("x", 64<<10),
	} {
		if _, err := f.Mapper.Map(context.Background(), user); !errors.Is(err, mapping.ErrNotMapped) {
			t.Errorf("Map(%.20q) = %v; want ErrNotMapped", user, err)
		}
	}
	if f.Unknown == "" {
		return
	}
	for _, user := range []string{"*", "admin)(uid=*", `\28`, "a,ou=x", "' OR 1=1 --", "%"} {
		if r, err := f.Mapper.Map(context.Background(), user); !errors.Is(err, mapping.ErrNotMapped) {
			t.Errorf("Map(%q) = %v, %v; want ErrNotMapped", user, r, err)
		}
	}
}

func together(t *testing.T, f Fixture) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				for user, want := range f.Known {
					if got, err := f.Mapper.Map(context.Background(), user); err != nil || got != want {
						t.Errorf("Map(%q) = %v, %v; want %v", user, got, err, want)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
