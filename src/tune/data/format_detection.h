// What kind of data set a file is, by its beginning.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "tune/data/byte_stream.h"
#include "tune/example_reader.h"

namespace malina::tune {

struct DetectedFormat {
  DatasetFormat format;
  std::vector<std::string> columns;  // of a table
  std::string header;                // of a table: the line of its columns, with its end
  ByteStream::Place first_row;       // where rows begin
};

// Throws as the constructor of ExampleReader does.
DetectedFormat detect_format(const base::File& file, const ReadOptions& options);

}  // namespace malina::tune
