// Package config is what the configuration files of the example programs have
// in common: how a file is read, where a service listens, which certificate it
// shows, and how a directory is reached.
package config

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/BurntSushi/toml"
)

// Load reads a file in TOML over what into holds already, and then lets check
// look at the result and at the text. A key that nothing knows is an error with
// its name. Errors name the file, and the line where there is one.
func Load(file string, into any, check func(text string) error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	meta, err := toml.Decode(string(text), into)
	if unknown := meta.Undecoded(); err == nil && len(unknown) > 0 {
		err = fmt.Errorf("unknown key %q", unknown[0].String())
	}
	if err == nil {
		err = check(string(text))
	}
	if parse, ok := errors.AsType[toml.ParseError](err); ok {
		return fmt.Errorf("config %s, line %d: %s", file, parse.Position.Line, parse.Message)
	}
	if err != nil {
		return fmt.Errorf("config %s: %w", file, err)
	}
	return nil
}

// Duration is a time.Duration written as "30s" or "5m".
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
