// Replay a drive from CSV through exported C; print estimates as CSV.
// The drive's files are those of ../python/README.md.

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include ESTIMATOR_HPP

namespace {

using Estimator = ESTIMATOR;

struct Row {
    std::string time;
    std::vector<float> values;
};

struct Table {
    std::vector<std::string> columns;
    std::vector<Row> rows;
};

std::vector<std::string> cells_of(std::string line)
{
    if (!line.empty() && line.back() == '\r') line.pop_back();
    std::vector<std::string> cells;
    std::stringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
    return cells;
}

// The first column may be a time, which is kept as it is written: float32 has no room for it.
Table read(const std::string &path, bool timed, std::size_t columns)
{
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line)) throw std::runtime_error(path + ": no header line");
    Table table{cells_of(line), {}};
    if (table.columns.size() != columns + timed)
        throw std::runtime_error(path + ": expected " + std::to_string(columns + timed) + " columns");
    while (std::getline(file, line)) {
        const auto cells = cells_of(line);
        if (cells.empty()) continue;
        if (cells.size() != table.columns.size())
            throw std::runtime_error(path + ": a row is too short or too long: " + line);
        Row row{timed ? cells[0] : "", {}};
        for (std::size_t i = timed; i < cells.size(); ++i) row.values.push_back(std::stof(cells[i]));
        table.rows.push_back(row);
    }
    return table;
}

void check(int status, const std::string &where)
{
    if (status) throw std::runtime_error(where + ": status " + std::to_string(status));
}

void print(const std::string &time, const float *mean)
{
    std::printf("%s", time.c_str());
    for (int i = 0; i < Estimator::state_size; ++i) std::printf(",%.9g", static_cast<double>(mean[i]));
    std::printf("\n");
}

void replay(const std::string &drive)
{
    const Table start = read(drive + "/start.csv", false, Estimator::state_size);
    const Table events = read(drive + "/events.csv", true,
        Estimator::measurement_size + Estimator::sensor_count);
    const Table ticks = read(drive + "/ticks.csv", true, 1 + Estimator::input_size);
    if (start.rows.empty()) throw std::runtime_error(drive + "/start.csv: no row");

    Estimator estimator;
    Estimator::Mean mean{};
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] = start.rows[0].values[i];
    check(Estimator::selftest(), "self-test");
    check(estimator.init(mean), "start");

    std::printf("t");
    for (int i = 0; i < Estimator::state_size; ++i) std::printf(",mean_%d", i);
    std::printf("\n");
    auto tick = ticks.rows.begin();
    for (const Row &event : events.rows) {
        Estimator::Measurement z{};
        Estimator::Seen seen{};
        for (std::size_t i = 0; i < z.size(); ++i) z[i] = event.values[i];
        for (std::size_t i = 0; i < seen.size(); ++i) seen[i] = event.values[z.size() + i] != 0.0f;
        std::vector<float> u, dt;
        for (; tick != ticks.rows.end() && tick->time == event.time; ++tick) {
            dt.push_back(tick->values[0]);
            u.insert(u.end(), tick->values.begin() + 1, tick->values.end());
        }
        u.push_back(0.0f); // so that there is an address where there are no inputs
        dt.push_back(0.0f);
        check(estimator.step(z, seen, u.data(), dt.data(), static_cast<int>(dt.size()) - 1),
            "event at " + event.time);
        print(event.time, estimator.mean());
    }
    if (tick != ticks.rows.end()) throw std::runtime_error("ticks.csv: no event at " + tick->time);
}

} // namespace

int main(int count, char **words)
{
    if (count != 2) {
        std::cerr << "usage: replay DRIVE > estimates.csv\n";
        return 2;
    }
    try {
        replay(words[1]);
    } catch (const std::exception &error) {
        std::cerr << "error: " << error.what() << "\n";
        return 3;
    }
    return 0;
}
