// How much of everything one HTTP request may bring. Every bound of the decoder has its name here.

/// The bounds of the HTTP decoder. All sizes are in bytes.
package struct HTTPLimits: Sendable {
    /// Request line and fields together, with the empty line that ends them.
    package var headBytesMax = 16_384
    /// Header fields of one request.
    package var fieldsMax = 64
    /// The request target, as it was sent.
    package var targetBytesMax = 8_192
    /// The longest value that can be stored.
    package var valueBytesMax = 1_048_576
    /// The body of a request that stores no value.
    package var otherBodyBytesMax = 16_384
    /// The content type stored with a value.
    package var contentTypeBytesMax = 255
    /// How much of a refused body is read and thrown away before the connection is given up.
    package var discardBytesMax = 4_194_304
    /// One line that announces a chunk, without its line end.
    package var chunkLineBytesMax = 256
    /// Chunk extensions of one body together.
    package var chunkExtensionBytesMax = 4_096
    /// Trailer fields of one body together.
    package var trailerBytesMax = 4_096

    package init() {}
}
