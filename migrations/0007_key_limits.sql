-- No window and no block is longer than a year, so that times reckoned with them stay within 64 bits.
ALTER TABLE api_key_limits
    ADD CHECK (window_ms <= 31536000000),
    ADD CHECK (block_ms <= 31536000000);
