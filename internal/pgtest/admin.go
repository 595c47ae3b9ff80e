package pgtest

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgserver"
)

// admins are the pools by which databases are made and dropped, by server, whose database postgres they are connected
// to. Tests share them: a connection costs more than making a database.
var admins sync.Map

// admin returns a server's pool.
func admin(s *pgserver.Server) (*pgxpool.Pool, error) {
	if pool, ok := admins.Load(s); ok {
		return pool.(*pgxpool.Pool), nil
	}
	config, err := pgxpool.ParseConfig(s.URL("postgres"))
	if err != nil {
		return nil, err
	}
	alive(config)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	if other, raced := admins.LoadOrStore(s, pool); raced {
		pool.Close()
		return other.(*pgxpool.Pool), nil
	}
	return pool, nil
}

// stop stops a server and closes its pool.
func stop(s *pgserver.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if pool, ok := admins.LoadAndDelete(s); ok {
		pool.(*pgxpool.Pool).Close()
	}
	return s.Stop(ctx)
}
