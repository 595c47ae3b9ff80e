-- From here to the end of the transaction, texts are exchanged as UTF-8.
SELECT pg_catalog.set_config('client_encoding', 'UTF8', true)
