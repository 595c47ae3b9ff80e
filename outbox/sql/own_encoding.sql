-- From here to the end of the transaction, texts are exchanged as the database keeps them.
SELECT pg_catalog.set_config('client_encoding', pg_catalog.current_setting('server_encoding'), true)
