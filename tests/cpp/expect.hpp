// One assertion: the kernel refuses, and its message names what it should.
#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

template <typename Error = std::invalid_argument, typename Call>
void expect_refused(const std::string& part, Call&& call) {
    try {
        std::forward<Call>(call)();
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << "the message was: " << error.what();
        return;
    }
    ADD_FAILURE() << "accepted; expected an error that contains '" << part << "'";
}
